//! Which records of a store were replayed: a mark for each object of which any was, beside the objects and never
//! removed, so that an object which is kept once more after a crash stays replayed.

use baikonur_stream::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::objects::{ObjectError, ObjectSource, PutMode};

/// Below it lies all that a redrive writes.
pub(super) const FOLDER: &str = "redrive/";
/// Hexadecimal digits of an object's key in the name of its mark: 128 bits of its SHA-256.
const DIGITS: usize = 32;
/// A mark of more ranges than this fits cannot be of ours.
const MARK_BYTES_MAX: u64 = 64 << 20;

/// Places in an object, as ranges in their order, apart from each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Places(Vec<(u64, u64)>);

impl TryFrom<Vec<(u64, u64)>> for Places {
    type Error = &'static str;

    fn try_from(ranges: Vec<(u64, u64)>) -> Result<Self, Self::Error> {
        let places = Self(ranges);
        places.is_sound().then_some(places).ok_or("it has ranges that are in no order")
    }
}

impl From<Places> for Vec<(u64, u64)> {
    fn from(places: Places) -> Self {
        places.0
    }
}

impl Places {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether `place` is one of them.
    pub fn contains(&self, place: u64) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= place);
        behind > 0 && self.0[behind - 1].1 >= place
    }

    /// Adds a place.
    pub fn insert(&mut self, place: u64) {
        let behind = self.0.partition_point(|(first, _)| *first <= place);
        let before = behind.checked_sub(1);
        if before.is_some_and(|before| self.0[before].1 >= place) {
            return;
        }
        let joins_before = before.filter(|before| self.0[*before].1 + 1 == place);
        let joins_behind = self.0.get(behind).is_some_and(|(first, _)| place + 1 == *first);
        match (joins_before, joins_behind) {
            (Some(before), true) => {
                self.0[before].1 = self.0[behind].1;
                self.0.remove(behind);
            }
            (Some(before), false) => self.0[before].1 = place,
            (None, true) => self.0[behind].0 = place,
            (None, false) => self.0.insert(behind, (place, place)),
        }
    }

    /// Takes a place away.
    pub fn remove(&mut self, place: u64) {
        let behind = self.0.partition_point(|(first, _)| *first <= place);
        let Some(at) = behind.checked_sub(1).filter(|at| self.0[*at].1 >= place) else {
            return;
        };
        let (first, last) = self.0.remove(at);
        if place < last {
            self.0.insert(at, (place + 1, last));
        }
        if first < place {
            self.0.insert(at, (first, place - 1));
        }
    }

    /// Each of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Whether it is as `insert` makes them; read from a store it may be anything.
    fn is_sound(&self) -> bool {
        let each = self.0.iter().all(|(first, last)| first <= last && *last < u64::MAX);
        each && self.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0)
    }
}

impl FromIterator<u64> for Places {
    fn from_iter<I: IntoIterator<Item = u64>>(places: I) -> Self {
        let mut all = Self::default();
        places.into_iter().for_each(|place| all.insert(place));
        all
    }
}

/// What became of the records of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The object's key.
    object: String,
    /// Records that a stream acknowledged.
    pub replayed: Places,
    /// Records of a call whose answer nobody saw: they may be in the stream.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub in_doubt: Places,
    /// When it was written last.
    written: Timestamp,
}

impl Mark {
    /// A mark of an object of which nothing was replayed.
    pub fn new(object: &str) -> Self {
        Self { object: object.to_owned(), ..Self::default() }
    }

    /// The mark of `object`, as it is stored.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub async fn load(source: &dyn ObjectSource, object: &str) -> Result<Self, ObjectError> {
        let key = key(object);
        let Some(whole) = source.read(&key, MARK_BYTES_MAX).await? else {
            return Ok(Self::new(object));
        };
        let wrong = |what: &str| {
            let url = source.url(&key);
            ObjectError::Unavailable(format!(
                "{url} tells which records of {object} were replayed, and {what}; delete it to replay all of them"
            ))
        };
        let mark: Self =
            serde_json::from_slice(&whole.bytes).map_err(|error| wrong(&error.to_string()))?;
        if mark.object != object {
            return Err(wrong(&format!("is about {}", mark.object)));
        }
        Ok(mark)
    }

    /// Stores it; returns when it is durable.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn store(
        &mut self,
        source: &dyn ObjectSource,
        now: Timestamp,
    ) -> Result<(), ObjectError> {
        self.written = now;
        let text = serde_json::to_vec(self).map(Bytes::from);
        let text = text.map_err(|error| ObjectError::Unavailable(error.to_string()))?;
        source.put(&key(&self.object), vec![text], PutMode::Overwrite).await
    }
}

/// Whether `key` is of a redrive itself, and not of an object with records.
pub fn is_of_redrive(key: &str) -> bool {
    key.starts_with(FOLDER)
}

/// Of fixed length, whatever the object is called.
fn key(object: &str) -> String {
    let hash = Sha256::digest(object);
    let hash: String = hash.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
    format!("{FOLDER}marks/{}/{hash}.json", &hash[..2])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::objects::{Location, S3Settings, open_source};

    proptest! {
        #[test]
        fn places_are_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..30), 0..80)) {
            let (mut places, mut model) = (Places::default(), BTreeSet::new());
            for (insert, place) in steps {
                if insert {
                    places.insert(place);
                    model.insert(place);
                } else {
                    places.remove(place);
                    model.remove(&place);
                }
                prop_assert!(places.is_sound(), "{places:?}");
                prop_assert_eq!(places.count(), model.len() as u64);
                prop_assert!(places.iter().eq(model.iter().copied()), "{places:?}");
                prop_assert!((0..31).all(|n| places.contains(n) == model.contains(&n)));
            }
        }
    }

    #[tokio::test]
    async fn a_mark_is_read_as_it_was_stored_and_a_broken_one_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let source = open_source(&location, &S3Settings::default()).unwrap();
        let mut mark = Mark::load(&*source, "a/x.gz").await.unwrap();
        assert_eq!(mark, Mark::new("a/x.gz"));
        mark.replayed = [0, 1, 2, 7].into_iter().collect();
        mark.in_doubt.insert(9);
        mark.store(&*source, Timestamp::from_seconds(1)).await.unwrap();
        assert_eq!(Mark::load(&*source, "a/x.gz").await.unwrap(), mark);
        let path = folder.path().join(key("a/x.gz"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("[[0,2],[7,7]]"), "{text}");
        for broken in ["", "{}", &text.replace("a/x", "a/y"), &text.replace("[0,2]", "[0,8]")] {
            std::fs::write(&path, broken).unwrap();
            let error = Mark::load(&*source, "a/x.gz").await.unwrap_err().to_string();
            assert!(error.contains("delete it to replay all"), "{error}");
        }
    }
}
