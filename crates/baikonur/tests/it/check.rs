//! `baikonur check`.

use crate::running::{printed, refused};

#[test]
fn the_built_in_configuration_can_be_printed_kept_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["check", "--print-default"], b"");
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let described = printed(folder.path(), &["check", "own.toml"], b"");
    assert!(described.contains("stream router (4 shards, 24 h)"), "{described}");
    assert!(described.contains("forward-a: kinesis-forward, apache_*, nginx_* ─▶ stream stream-a"));
    assert_eq!(printed(folder.path(), &["check"], b""), described);
}

#[test]
fn it_says_where_the_streams_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[server]\nstreams = 'kinesis'\n[kinesis]\nregion = 'eu-west-1'\n[streams.router]\n";
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let described = printed(folder.path(), &["check", "own.toml"], b"");
    assert_eq!(described, "stream router (Amazon Kinesis, eu-west-1)\n");
}

#[test]
fn mistakes_are_told_with_file_line_and_count() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[streams.router]\nshards = 0\n\n[modules.a]\ntype = \"kinesis-to-s3\"\nsource = \"router\"\n";
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let told = refused(folder.path(), &["check", "own.toml"], b"");
    assert!(told.contains("own.toml:2: [streams.router] shards is 0"), "{told}");
    assert!(told.contains("own.toml:4: [modules.a] destination is missing"), "{told}");
    assert!(told.ends_with("2 mistakes\n"), "{told}");
    let told = refused(folder.path(), &["up", "own.toml"], b"");
    assert!(told.contains("own.toml:2:"), "{told}");
    let told = refused(folder.path(), &["check", "missing.toml"], b"");
    assert!(told.contains("cannot read the configuration missing.toml"), "{told}");
}

#[test]
fn filters_are_shown_and_their_mistakes_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        [streams.router]
        [modules.errors]
        type = "kinesis-to-s3"
        source = "router"
        destination = "file://./errors"
        filter_criteria = [
            '{"data": {"level": ["ERROR"]}}',
            { data = { status = [{ numeric = [">=", 500] }] } },
        ]
    "#;
    std::fs::write(folder.path().join("own.toml"), text).unwrap();
    let described = printed(folder.path(), &["check", "own.toml"], b"");
    let shown = "       of that what matches {\"data\": {\"level\": [\"ERROR\"]}}\n       or {\"data\":{\"status\":[{\"numeric\":[\">=\",500]}]}}\n";
    assert!(described.ends_with(shown), "{described}");
    std::fs::write(folder.path().join("own.toml"), text.replace("numeric", "numerical")).unwrap();
    let told = refused(folder.path(), &["check", "own.toml"], b"");
    let words = "own.toml:9: [modules.errors] filter_criteria: Invalid filter pattern definition. data.status: \
                 Unrecognized match type numerical";
    assert!(told.contains(words), "{told}");
}
