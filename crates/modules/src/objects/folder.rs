//! A folder, gone through in the order of its names: whatever is no plain file is told and passed over.
//!
//! The `object_store` crate lists folders too, but in no order, and ends at the first name that it cannot take.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use tokio::sync::mpsc::Sender;

use super::{Listed, ObjectError};

/// Sends what is below `root`; returns early when nobody receives any more.
pub(super) fn walk(root: &Path, sender: &Sender<Result<Listed, ObjectError>>) {
    let mut waiting = Vec::new();
    match sorted(root) {
        Ok(entries) => waiting.push((String::new(), entries.into_iter())),
        Err(error) => {
            let error = format!("cannot list {}: {error}", root.display());
            let _ = sender.blocking_send(Err(ObjectError::Unavailable(error)));
            return;
        }
    }
    while let Some((folder, entries)) = waiting.last_mut() {
        let Some(entry) = entries.next() else {
            waiting.pop();
            continue;
        };
        let item = match look(folder, &entry) {
            Ok(Found::Folder(key)) => match sorted(&entry.path()) {
                Ok(entries) => {
                    waiting.push((format!("{key}/"), entries.into_iter()));
                    continue;
                }
                Err(error) => Listed::Strange(told(&entry, &error)),
            },
            Ok(Found::Item(item)) => item,
            Ok(Found::Nothing) => continue,
            Err(error) => Listed::Strange(told(&entry, &error)),
        };
        if sender.blocking_send(Ok(item)).is_err() {
            return;
        }
    }
}

fn told(entry: &DirEntry, error: &io::Error) -> String {
    format!("{} cannot be read: {error}", entry.path().display())
}

/// The names of one folder at a time are in memory.
fn sorted(folder: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_cached_key(DirEntry::file_name);
    Ok(entries)
}

enum Found {
    Folder(String),
    Item(Listed),
    /// Another process is writing it, or took it away meanwhile.
    Nothing,
}

fn look(folder: &str, entry: &DirEntry) -> io::Result<Found> {
    let strange = |what: &str| {
        let path = entry.path();
        Ok(Found::Item(Listed::Strange(format!("{} {what}", path.display()))))
    };
    let Ok(name) = entry.file_name().into_string() else {
        return strange("has a name that is not UTF-8");
    };
    let kind = entry.file_type()?;
    let key = format!("{folder}{name}");
    if kind.is_dir() {
        return Ok(Found::Folder(key));
    }
    if !kind.is_file() {
        // A link may lead round in a circle, or out of the store.
        return strange("is no file and no folder");
    }
    if is_unfinished(&name) {
        return Ok(Found::Nothing);
    }
    match entry.metadata() {
        Ok(metadata) => Ok(Found::Item(Listed::Object { key, bytes: metadata.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// `name#1`: how the `object_store` crate calls a file until it is whole.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn listed(root: &Path) -> Vec<Result<Listed, ObjectError>> {
        let (sender, mut receiver) = mpsc::channel(1000);
        walk(root, &sender);
        drop(sender);
        std::iter::from_fn(|| receiver.blocking_recv()).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        for key in ["b/2/x.gz", "b/10/y.gz", "a.gz", "c/z.gz", "b/1/é", "b/1/part#12"] {
            let path = root.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        let keys = listed(root.path()).into_iter().map(|item| match item.unwrap() {
            Listed::Object { key, bytes } => {
                assert_eq!(bytes, key.len() as u64);
                key
            }
            Listed::Strange(what) => panic!("{what}"),
        });
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys, ["a.gz", "b/1/é", "b/10/y.gz", "b/2/x.gz", "c/z.gz"]);
    }

    #[cfg(unix)]
    #[test]
    fn strange_entries_are_told_and_passed_over() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("circle")).unwrap();
        fs::write(root.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let items: Vec<_> = listed(root.path()).into_iter().map(Result::unwrap).collect();
        assert_eq!(items.len(), 3);
        assert!(items.contains(&Listed::Object { key: "file".to_owned(), bytes: 0 }));
        let text = format!("{items:?}");
        assert!(text.contains("circle is no file") && text.contains("not UTF-8"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let items = listed(&root.path().join("none"));
        assert!(matches!(&*items, [Err(_)]), "{items:?}");
    }
}
