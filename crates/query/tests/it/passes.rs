//! Statements for which SQLite reads a table in several passes, and tells by the numbers of rows which it has had.

use crate::archives::Folder;

/// Lines of an object: more than travel together, so that the groups of several objects come mixed.
const LINES: u64 = 20_000;

/// Two log types on three days, each object with lines of its own: `n` from `day * 100,000` on.
fn archive() -> Folder {
    let folder = Folder::new();
    for log_type in ["auth", "web"] {
        for day in [16, 17, 18] {
            let line = |number| format!("{{\"n\":{}}}", day * 100_000 + number);
            let lines: Vec<_> = (0..LINES).map(line).collect();
            folder.put_lines(&format!("{log_type}/2015-05/{day}/x.gz"), &lines);
        }
    }
    folder
}

#[test]
fn a_row_that_meets_both_sides_of_an_or_is_there_once() {
    let folder = archive();
    for (condition, objects) in [
        ("_log_type = 'auth' or _date = '2015-05-17'", 4),
        ("_date <= '2015-05-16' or _date >= '2015-05-18'", 4),
        ("_date <= '2015-05-17' or _date >= '2015-05-17'", 6),
        ("_date = '2015-05-16' or _date = '2015-05-18' or _log_type = 'web'", 5),
    ] {
        let statement = format!("select count(*) from logs where {condition}");
        assert_eq!(folder.rows(&statement), [[objects * LINES]], "{condition}");
    }
    let statement = "select count(*), count(distinct n) from auth where _date <= '2015-05-17' or _date >= '2015-05-17'";
    assert_eq!(folder.rows(statement), [[3 * LINES; 2]]);
}

#[test]
fn an_outer_join_keeps_what_has_no_partner_and_nothing_twice() {
    let folder = archive();
    // Few rows: the other table is read anew for each of them. Those of two days have partners.
    for day in [16, 17, 18] {
        let lines = [0, 1].map(|number| format!("{{\"n\":{}}}", day * 100_000 + number));
        folder.put_lines(&format!("few/2015-05/{day}/x.gz"), &lines);
    }
    let web = 3 * LINES;
    for (join, rows, lone_few, lone_web) in [
        ("left join", 6, 2, 0),
        ("right join", web, 0, web - 4),
        ("full join", web + 2, 2, web - 4),
    ] {
        let statement = format!(
            "select count(*), sum(web.n is null), sum(few.n is null) from few {join} web \
             on few.n = web.n and web._date > '2015-05-16'"
        );
        assert_eq!(folder.rows(&statement), [[rows, lone_few, lone_web]], "{join}");
    }
}
