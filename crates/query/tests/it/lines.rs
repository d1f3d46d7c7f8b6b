//! JSON lines in every codec and layout: what is found is what a parser of trees finds, and no more objects are opened
//! than the conditions leave.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::archives::Folder;

/// A record of a day in May 2015.
fn record(day: u32, number: u64) -> String {
    json!({
        "log_type": "apache access", "log_id": format!("{day}-{number}"),
        "time": format!("2015-05-{day:02}T{:02}:00:00.000+00:00", number % 24),
        "status": if number.is_multiple_of(3) { json!(200) } else { json!("404") },
        "bytes": number * 100, "agent": {"name": format!("agent {}", number % 2)}, "cached": number.is_multiple_of(5),
    })
    .to_string()
}

/// Ten records in each of two objects on each of four days, in all codecs.
fn four_days() -> (Folder, Vec<Json>) {
    let folder = Folder::new();
    let mut all = Vec::new();
    for (day, ends) in
        [(17, ["gz", "zst"]), (18, ["sz", "ndjson"]), (19, ["json", "log"]), (20, ["gz", "gz"])]
    {
        for (part, end) in ends.iter().enumerate() {
            let lines: Vec<_> =
                (0..10).map(|number| record(day, number + 10 * part as u64)).collect();
            folder.put_lines(&format!("apache%20access/2015-05/{day}/part-{part}.{end}"), &lines);
            all.extend(lines.iter().map(|line| serde_json::from_str::<Json>(line).unwrap()));
        }
    }
    folder.put_lines("other/2015-05/17/x.gz", &["{\"log_type\":\"other\"}".to_owned()]);
    folder.put("apache%20access/_SUCCESS", b"");
    (folder, all)
}

#[test]
fn answers_are_those_of_a_parser_of_trees() {
    let (folder, all) = four_days();
    assert_eq!(folder.rows("select count(*) from \"apache access\""), [[json!(80)]]);

    let mut rows = folder.rows("select log_id, bytes, cached, agent from \"apache access\"");
    rows.sort_by_key(|row| row[0].to_string());
    let mut expected: Vec<Vec<Json>> = all
        .iter()
        .map(|record| {
            let cached = i64::from(record["cached"].as_bool().unwrap());
            vec![
                record["log_id"].clone(),
                record["bytes"].clone(),
                cached.into(),
                record["agent"].to_string().into(),
            ]
        })
        .collect();
    expected.sort_by_key(|row| row[0].to_string());
    assert_eq!(rows, expected);

    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for record in &all {
        *sums.entry(record["agent"]["name"].as_str().unwrap().to_owned()).or_default() +=
            record["bytes"].as_u64().unwrap();
    }
    let rows = folder.rows(
        "select agent ->> '$.name' name, sum(bytes) from \"apache access\" group by name order by name",
    );
    assert_eq!(
        rows,
        sums.into_iter().map(|(name, sum)| vec![json!(name), json!(sum)]).collect::<Vec<_>>()
    );

    let rows = folder.rows("select _record from \"apache access\" where log_id = '18-13'");
    assert_eq!(rows, [[json!(record(18, 13))]]);
}

#[test]
fn a_value_keeps_its_type_from_row_to_row() {
    let (folder, _) = four_days();
    let rows =
        folder.rows("select typeof(status), count(*) from \"apache access\" group by 1 order by 1");
    assert_eq!(rows, [[json!("integer"), json!(28)], [json!("text"), json!(52)]]);
    let rows =
        folder.rows("select count(*) from \"apache access\" where cast(status as integer) = 404");
    assert_eq!(rows, [[json!(52)]]);
}

#[test]
fn all_log_types_are_one_table_and_hidden_columns_are_left_out_by_a_star() {
    let (folder, _) = four_days();
    let rows =
        folder.rows("select _log_type, count(*), min(_date) from logs group by 1 order by 1");
    assert_eq!(
        rows,
        [
            [json!("apache access"), json!(80), json!("2015-05-17")],
            [json!("other"), json!(1), json!("2015-05-17")],
        ]
    );
    let answer = folder.ask("select * from logs where _log_type = 'other'").unwrap();
    assert_eq!(answer.names, ["_record", "_log_type"]);
    assert_eq!(answer.rows, [[json!("{\"log_type\":\"other\"}"), json!("other")]]);
    assert_eq!((answer.figures.objects_opened, answer.figures.objects_listed), (1, 9));
    let answer = folder.ask("select * from other").unwrap();
    assert_eq!(answer.names, ["log_type"]);
}

#[test]
fn conditions_leave_objects_unopened() {
    let (folder, _) = four_days();
    for (condition, opened, rows) in [
        ("1", 8, 80),
        ("_date = '2015-05-18'", 2, 20),
        ("'2015-05-18' = _date", 2, 20),
        ("_date in ('2015-05-17', '2015-05-20', '2016-01-01')", 4, 40),
        ("_date between '2015-05-18' and '2015-05-19'", 4, 40),
        ("_date > '2015-05-18' and _date < '2015-05-20'", 2, 20),
        ("_date >= date('2015-05-19', '+1 day')", 2, 20),
        ("_date = '2016-01-01'", 0, 0),
        ("_date = null", 0, 0),
        ("_date = '2015-05-18' or bytes = 0", 8, 23),
        ("_object = 'apache%20access/2015-05/20/part-1.gz'", 1, 10),
        ("_date = '2015-05-18' collate nocase", 8, 20),
        ("_log_type = 'nothing'", 0, 0),
        // Objects of the days before and after may have such times.
        ("time >= '2015-05-19T12:00'", 6, 28),
        ("time < '2015-05-18'", 4, 20),
        ("time between '2015-05-20' and '2015-05-21'", 4, 20),
        ("time = '2015-05-17T03:00:00.000+00:00'", 4, 1),
        ("time in ('2015-05-17T03:00:00.000+00:00', '2015-05-17T04:00:00.000+00:00')", 4, 2),
        ("time > 5", 8, 80),
        ("time is null", 8, 0),
    ] {
        let statement = format!("select count(*) from \"apache access\" where {condition}");
        let answer = folder.ask(&statement).unwrap();
        assert_eq!(answer.rows, [[json!(rows)]], "{condition}");
        assert_eq!(
            (answer.figures.objects_opened, answer.figures.objects_listed),
            (opened, 8),
            "{condition}"
        );
        // The same without a choice.
        let expression = condition
            .replace("_date", "+_date")
            .replace("time ", "+time ")
            .replace("_object", "+_object");
        let statement = format!("select count(*) from \"apache access\" where {expression}");
        assert_eq!(folder.rows(&statement), [[json!(rows)]], "{expression}");
    }
}

#[test]
fn times_that_do_not_begin_with_a_date_leave_no_object_out() {
    let folder = Folder::new();
    let lines = |time: &str| [format!("{{\"time\":{time},\"at\":{time}}}")];
    folder.put_lines("text/2015-03/27/x.gz", &lines("\"Mar 27 16:50:12 2015\""));
    folder.put_lines("number/2015-03/27/x.gz", &lines("1427475012"));
    folder.put_lines("far/2015-03/27/x.gz", &lines("\"2016-03-27T00:00:00Z\""));
    for (statement, count) in [
        ("select count(*) from text where time >= '2016'", 1),
        ("select count(*) from number where time > 1427475011", 1),
        ("select count(*) from number where time > '2016'", 0),
        ("select count(*) from far where time > '2016'", 1),
    ] {
        assert_eq!(folder.rows(statement), [[json!(count)]], "{statement}");
    }
    let mut folder = folder;
    folder.put_lines("other/2015-03/27/x.gz", &lines("\"2015-03-27T00:00:00Z\""));
    for (field, opened) in [("time", 1), ("at", 0), ("", 1)] {
        folder.time_field = field;
        let answer = folder.ask("select count(*) from other where at > '2016'").unwrap();
        assert_eq!(
            (answer.rows[0][0].clone(), answer.figures.objects_opened),
            (json!(0), opened),
            "{field}"
        );
    }
}

#[test]
fn partitions_of_hive_are_columns_and_choose() {
    let folder = Folder::new();
    for (region, day) in [("eu", "07"), ("eu", "08"), ("us", "08")] {
        let key = format!("log_type=auth/region={region}/year=2015/month=05/day={day}/x.zst");
        folder.put_lines(&key, &[format!("{{\"region\":\"of the record\",\"n\":{day:?}}}")]);
    }
    for (condition, opened, rows) in [
        ("region = 'eu'", 2, 2),
        ("region = 'eu' and day = '08'", 1, 1),
        ("year = 2015 and month >= '05'", 3, 3),
        ("_date = '2015-05-08'", 2, 2),
        ("region < 'f'", 2, 2),
    ] {
        let answer = folder.ask(&format!("select count(*) from auth where {condition}")).unwrap();
        assert_eq!(answer.rows, [[json!(rows)]], "{condition}");
        assert_eq!(answer.figures.objects_opened, opened, "{condition}");
    }
    let answer = folder.ask("select * from auth order by region, day limit 1").unwrap();
    assert_eq!(answer.names, ["region", "n", "year", "month", "day"]);
    assert_eq!(answer.rows, [["eu", "07", "2015", "05", "07"]]);
    let rows = folder.rows("select _record ->> '$.region' from auth limit 1");
    assert_eq!(rows, [["of the record"]]);
}

#[test]
fn odd_names_are_quoted_and_fields_that_were_not_seen_are_reached() {
    let folder = Folder::new();
    folder.put_lines("a%22b%2Fc/2015-05/17/x.gz", &["{\"a b\":1,\"A B\":2,\"\":3}".to_owned()]);
    folder.put_lines("unknown/auth/no_timestamp/2015-05/17/x.gz", &["{}".to_owned()]);
    let rows = folder.rows(r#"select "a b", _record ->> '$."A B"', "" from "a""b/c""#);
    assert_eq!(rows, [[1, 2, 3]]);
    assert_eq!(folder.rows(r#"select count(*) from "unknown/auth/no_timestamp""#), [[1]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Many objects, read by several threads: each record comes once.
    #[test]
    fn every_record_comes_once(sizes in prop::collection::vec(0usize..3000, 1..12), which in 0usize..4) {
        let folder = Folder::new();
        let end = ["gz", "zst", "sz", "json"][which];
        let mut number = 0u64;
        for (object, size) in sizes.iter().enumerate() {
            let lines: Vec<_> = (0..*size).map(|_| {
                number += 1;
                format!("{{\"n\":{number},\"padding\":\"{}\"}}", "x".repeat((number % 97) as usize))
            }).collect();
            folder.put_lines(&format!("many/2015-05/17/{object}.{end}"), &lines);
        }
        // An archive without a record has no fields.
        prop_assume!(number > 0);
        let rows = folder.rows("select count(*), count(distinct n), min(n), max(n), sum(length(padding)) from many");
        let padding: u64 = (1..=number).map(|number| number % 97).sum();
        prop_assert_eq!(rows, [[json!(number), json!(number), json!(1), json!(number), json!(padding)]]);
    }
}
