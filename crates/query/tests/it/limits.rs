//! A statement reads, and does nothing else; what it may not do is said in words.

use baikonur_query::QueryError;
use serde_json::json;

use crate::archives::Folder;

fn archive() -> Folder {
    let folder = Folder::new();
    for day in 10..30 {
        folder.put_lines(&format!("auth/2015-05/{day}/x.gz"), &[format!("{{\"n\":{day}}}")]);
    }
    folder
}

#[test]
fn everything_but_reading_is_refused() {
    let folder = archive();
    let file = folder.path().join("new.db");
    let attach = format!("attach '{}' as new", file.display());
    for (statement, what) in [
        (attach.as_str(), "ATTACH"),
        ("create table auth2(x)", "changing"),
        ("create temp view v as select 1", "changing"),
        ("delete from auth", "changing"),
        ("insert into auth(n) values (1)", "changing"),
        ("update auth set n = 1", "changing"),
        ("drop table auth", "changing"),
        ("pragma hard_heap_limit = 0", "PRAGMA"),
        ("select * from pragma_table_info('auth')", "PRAGMA"),
        ("begin", "transaction"),
        ("vacuum into 'new.db'", "ATTACH"),
        ("select load_extension('x') from auth", "load_extension"),
    ] {
        let error = folder.ask(statement).unwrap_err();
        // SQLite has its own words where it never gets as far as the question.
        let text = error.to_string();
        let is_refused =
            matches!(&error, QueryError::NotAllowed(refused) if refused.contains(what));
        assert!(
            is_refused || text.contains("may not be modified") || text.contains("asks for nothing"),
            "{statement}: {text}"
        );
    }
    assert!(!file.exists() && !std::path::Path::new("new.db").exists());
    assert_eq!(folder.rows("select count(*) from auth"), [[20]]);
}

#[test]
fn mistakes_are_explained() {
    let folder = archive();
    let error = |statement: &str| folder.ask(statement).unwrap_err();
    assert_eq!(error("select * from autg"), QueryError::NoTable { name: "autg".to_owned() });
    assert_eq!(
        error("select x from auth").to_string(),
        "no such column: x; a field that few records have is reached by _record ->> '$.field'"
    );
    assert_eq!(error("select 1; select 2").to_string(), "a query is one statement");
    let told = error("select * from order").to_string();
    assert!(told.contains("syntax error") && told.contains("in double quotes"), "{told}");
    assert!(error("").to_string().contains("asks for nothing"));
    assert_eq!(folder.rows("select 1; -- that is all"), [[1]]);
}

#[test]
fn a_join_that_would_read_a_table_for_each_row_is_ended_with_advice() {
    let folder = archive();
    for number in 0..5 {
        let lines: Vec<_> = (0..20).map(|n| format!("{{\"n\":{}}}", number * 20 + n)).collect();
        folder.put_lines(&format!("auth/2015-06/01/{number}.gz"), &lines);
        folder.put_lines(&format!("other/2015-05/17/{number}.gz"), &lines);
    }
    let error = folder.ask("select count(*) from other join auth on other.n = auth.n").unwrap_err();
    let QueryError::ReadAgain { table } = &error else { panic!("{error}") };
    assert!(table == "auth" || table == "other");
    assert!(error.to_string().contains("as materialized"), "{error}");
    let rows = folder.rows(
        "with a as materialized (select n from auth), o as materialized (select n from other)
         select count(*) from a join o using (n)",
    );
    assert_eq!(rows, [[120]]);
}

#[test]
fn what_grows_without_end_is_bounded() {
    let folder = archive();
    let error = folder.ask("select length(zeroblob(1000000000))").unwrap_err().to_string();
    assert!(error.contains("too big"), "{error}");
    let rows = folder.rows(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 300000)
         select count(*) from (select i, printf('%0500d', i) p from n order by p)",
    );
    assert_eq!(rows, [[json!(300_000)]]);
}

#[test]
fn a_limit_reads_no_more_objects_than_it_needs() {
    let folder = archive();
    // Many more than may be ahead of a statement.
    for number in 0..200 {
        folder.put_lines(&format!("auth/2015-06/01/{number}.gz"), &["{\"n\":0}".to_owned()]);
    }
    let answer = folder.ask("select n from auth limit 1").unwrap();
    assert_eq!(answer.rows.len(), 1);
    assert!(answer.figures.objects_opened < 100, "{:?}", answer.figures);
}
