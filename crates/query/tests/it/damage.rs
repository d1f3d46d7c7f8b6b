//! What is damaged ends a query with its place, or is told and passed over.

use baikonur_query::QueryError;
use serde_json::json;

use crate::archives::{Folder, stored};

fn lines(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("{{\"n\":{number}}}")).collect()
}

#[test]
fn a_damaged_line_is_named() {
    let mut folder = Folder::new();
    let mut many = lines(50_000);
    many[44_444] = "{\"n\":".to_owned();
    many[44_445] = "[1]".to_owned();
    folder.put_lines("auth/2015-05/17/x.gz", &many);
    let error = folder.ask("select max(n) from auth").unwrap_err();
    let QueryError::Damaged { url, line, what } = &error else { panic!("{error}") };
    assert_eq!((url.as_str(), *line), ("file://archive/auth/2015-05/17/x.gz", Some(44_445)));
    assert!(what.contains("not JSON"), "{what}");
    assert!(error.to_string().ends_with("--skip-damaged reads on without it"), "{error}");

    folder.skip_damaged = true;
    let answer = folder.ask("select max(n), count(n) from auth").unwrap();
    assert_eq!(answer.rows, [[49_999, 49_998]]);
    assert_eq!(answer.figures.damaged, 2);
    let told = folder.told();
    assert!(told[0].contains("x.gz, line 44445: it is not JSON"), "{told:?}");
    assert!(told[1].contains("x.gz, line 44446: it is JSON, but no object"), "{told:?}");
    // Who looks into no line cannot see it.
    assert_eq!(folder.rows("select count(*) from auth"), [[50_000]]);
}

#[test]
fn an_object_that_breaks_off_is_named_and_what_came_before_counts_only_if_wished() {
    for end in ["gz", "zst", "sz"] {
        let mut folder = Folder::new();
        folder.put_lines(&format!("auth/2015-05/16/x.{end}"), &lines(10));
        let key = format!("auth/2015-05/17/x.{end}");
        let mut half = stored(&key, &lines(100_000));
        half.truncate(half.len() / 2);
        folder.put(&key, &half);
        let error = folder.ask("select count(*) from auth").unwrap_err().to_string();
        assert!(error.contains(&key) && error.contains("cannot be decompressed"), "{error}");

        folder.skip_damaged = true;
        let answer = folder.ask("select count(*), count(n) from auth").unwrap();
        let count = answer.rows[0][0].as_u64().unwrap();
        assert!((1_000..99_000).contains(&count), "{count}");
        assert_eq!(answer.rows[0][1], json!(count), "no half line is one");
        assert_eq!((answer.figures.damaged, folder.told().len()), (1, 1));
    }
}

#[test]
fn objects_that_are_something_else_are_named() {
    let mut folder = Folder::new();
    folder.put_lines("auth/2015-05/15/x.gz", &lines(1));
    folder.put("auth/2015-05/16/empty.gz", b"");
    for (name, bytes) in [
        ("x.gz", &b"plain text\n"[..]),
        ("x.zst", b"plain text\n"),
        ("x.sz", b"plain text\n"),
        ("x.parquet", b"PAR1 this is none PAR1"),
        ("y.parquet", b"x"),
    ] {
        let key = format!("auth/2015-05/17/{name}");
        folder.put(&key, bytes);
        folder.skip_damaged = false;
        let error = folder.ask("select count(n) from auth").unwrap_err();
        let QueryError::Damaged { url, .. } = &error else { panic!("{name}: {error}") };
        assert!(url.ends_with(&key), "{error}");
        folder.skip_damaged = true;
        assert_eq!(folder.rows("select count(n) from auth"), [[1]], "{name}");
        std::fs::remove_file(folder.path().join(&key)).unwrap();
    }
}

#[test]
fn a_bomb_costs_a_line_and_no_more() {
    let folder = Folder::new();
    let zeros = vec![b'0'; 80 << 20];
    folder.put("auth/2015-05/17/x.zst", &zstd::encode_all(&*zeros, 1).unwrap());
    let error = folder.ask("select count(*) from auth").unwrap_err().to_string();
    assert!(error.contains("line 1: a line has more than 33554432 bytes"), "{error}");
}
