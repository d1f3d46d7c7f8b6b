//! `baikonur query`.

use crate::running::{printed, refused, run};

fn archive(folder: &std::path::Path) {
    let objects = folder.join("baikonur-data/archive/auth/2015-05/17");
    std::fs::create_dir_all(&objects).unwrap();
    std::fs::write(objects.join("x.json"), "{\"user\":\"a\"}\n{\"user\":null}\n").unwrap();
}

#[test]
fn the_archive_of_the_built_in_configuration_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let answer =
        printed(folder.path(), &["query", "select user, count(*) n from auth group by 1"], b"");
    assert_eq!(answer, "{\"user\":null,\"n\":1}\n{\"user\":\"a\",\"n\":1}\n");
    let tables = printed(folder.path(), &["query", "--tables"], b"");
    assert!(tables.ends_with("auth         1   27 B  2015-05-17  2015-05-17\n"), "{tables}");
    let answer = printed(folder.path(), &["query", "-", "-o", "csv"], b"select user from auth;\n");
    assert_eq!(answer, "user\r\na\r\n\r\n");
}

#[test]
fn how_much_was_read_is_said_on_request() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path());
    let words = ["query", "-v", "select count(*) from auth where _date = '2015-05-18'"];
    let output = run(folder.path(), &words, b"");
    assert_eq!(output.stdout, b"{\"count(*)\":0}\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("0 of 1 objects read, 0 B, 0 records"), "{said}");
}

#[test]
fn an_archive_that_is_not_meant_clearly_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let module = |name: &str, place: &str| {
        format!(
            "[modules.{name}]\ntype = 'kinesis-to-s3'\nsource = 'router'\ndestination = 'file://./{place}'\n"
        )
    };
    let text = format!("[streams.router]\n{}{}", module("one", "a"), module("two", "b"));
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let asked =
        |words: &[&str]| refused(folder.path(), &[&["query", "--tables"], words].concat(), b"");
    let told = asked(&["--config", "own.toml"]);
    assert!(told.contains("several archives; choose one with --module: one, two"), "{told}");
    let told = asked(&["--config", "own.toml", "--module", "three"]);
    assert!(told.contains("there is no kinesis-to-s3 module three; there are one, two"), "{told}");
    let told = asked(&["--config", "own.toml", "--module", "two"]);
    assert!(
        told.contains("no object of an archive below file:///") && told.contains("/b"),
        "{told}"
    );
    let told = refused(folder.path(), &["query", "select 1 from none_such"], b"");
    assert!(told.contains("no object of an archive"), "{told}");
}
