//! Parquet, written here value by value, and read back as rows; what other writers make of it is tested end to end.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value as Json, json};

use crate::archives::Folder;

const SCHEMA: &str = "message record {
    required binary log_type (UTF8);
    optional int64 n;
    optional double share;
    optional boolean ok;
    required int64 at (TIMESTAMP(MICROS, true));
    optional int32 day (DATE);
    optional binary agent (JSON);
    optional binary mixed (JSON);
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
    optional binary _rest (JSON);
}";

/// Rows of several row groups: `n` is NULL in every third one.
fn object(groups: i64, rows: i64, compression: Compression) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for group in 0..groups {
        let numbers: Vec<i64> = (group * rows..(group + 1) * rows).collect();
        let some: Vec<i64> = numbers.iter().copied().filter(|number| number % 3 != 0).collect();
        let is_some: Vec<i16> = numbers.iter().map(|number| i16::from(number % 3 != 0)).collect();
        let all = vec![1i16; numbers.len()];
        let mut row_group = writer.next_row_group().unwrap();
        let mut place = 0;
        while let Some(mut column) = row_group.next_column().unwrap() {
            let text = |text: String| ByteArray::from(text.into_bytes());
            match place {
                0 => {
                    let values: Vec<_> = numbers.iter().map(|_| text("auth".to_owned())).collect();
                    column.typed::<ByteArrayType>().write_batch(&values, None, None)
                }
                1 => column.typed::<Int64Type>().write_batch(&some, Some(&is_some), None),
                2 => {
                    let values: Vec<_> =
                        numbers.iter().map(|&number| number as f64 / 4.0).collect();
                    column.typed::<DoubleType>().write_batch(&values, Some(&all), None)
                }
                3 => {
                    let values: Vec<_> = numbers.iter().map(|number| number % 2 == 0).collect();
                    column.typed::<BoolType>().write_batch(&values, Some(&all), None)
                }
                4 => {
                    let start = 1_431_857_103_120_000;
                    let values: Vec<_> = numbers.iter().map(|number| start + number).collect();
                    column.typed::<Int64Type>().write_batch(&values, None, None)
                }
                5 => {
                    let values: Vec<_> = numbers.iter().map(|_| 16_572).collect();
                    column.typed::<Int32Type>().write_batch(&values, Some(&all), None)
                }
                6 => {
                    let values: Vec<_> =
                        some.iter().map(|number| text(format!("{{\"name\":{number}}}"))).collect();
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&is_some), None)
                }
                7 => {
                    let mixed = ["1", "\"a \\\"b\"", "[true]", "0.5", "false"];
                    let values: Vec<_> = numbers
                        .iter()
                        .map(|&number| text(mixed[number as usize % 5].to_owned()))
                        .collect();
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&all), None)
                }
                9 => {
                    let values: Vec<_> = some
                        .iter()
                        .map(|number| text(format!("{{\"day\":\"none\",\"r\":{number}}}")))
                        .collect();
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&is_some), None)
                }
                // Two elements, the second one NULL, in every row.
                _ => {
                    let values: Vec<_> =
                        numbers.iter().map(|number| text(format!("t\"{number}"))).collect();
                    let definitions: Vec<i16> = numbers.iter().flat_map(|_| [3, 2]).collect();
                    let repetitions: Vec<i16> = numbers.iter().flat_map(|_| [0, 1]).collect();
                    column.typed::<ByteArrayType>().write_batch(
                        &values,
                        Some(&definitions),
                        Some(&repetitions),
                    )
                }
            }
            .unwrap();
            column.close().unwrap();
            place += 1;
        }
        row_group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn rows_come_back_as_they_were_written() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        Compression::GZIP(parquet::basic::GzipLevel::default()),
    ] {
        let folder = Folder::new();
        folder.put("auth/2015-05/17/x.parquet", &object(3, 5000, compression));
        let rows = folder.rows("select count(*), count(n), sum(n), sum(share), sum(ok) from auth");
        let some = || (0..15_000i64).filter(|number| number % 3 != 0);
        let share: f64 = (0..15_000).map(|number| f64::from(number) / 4.0).sum();
        let expected = [
            json!(15_000),
            json!(some().count()),
            json!(some().sum::<i64>()),
            json!(share),
            json!(7500),
        ];
        assert_eq!(rows, [expected]);
        let rows = folder.rows("select * from auth where share = 2500.25");
        assert_eq!(
            rows,
            [[
                json!("auth"),
                json!(10_001),
                json!(2500.25),
                json!(0),
                json!("2015-05-17T10:05:03.130001Z"),
                json!("2015-05-17"),
                json!("{\"name\":10001}"),
                json!("a \"b"),
                json!("[\"t\\\"10001\",null]"),
                json!("{\"day\":\"none\",\"r\":10001}"),
            ]]
        );
    }
}

#[test]
fn a_record_is_a_json_object_of_what_is_not_null() {
    let folder = Folder::new();
    folder.put("auth/2015-05/17/x.parquet", &object(1, 4, Compression::SNAPPY));
    let rows = folder.rows("select _record, n from auth order by at");
    let records: Vec<Json> =
        rows.iter().map(|row| serde_json::from_str(row[0].as_str().unwrap()).unwrap()).collect();
    let record = |number: i64, time: &str| {
        let mixed = [json!(1), json!("a \"b"), json!([true]), json!(0.5)];
        let mut record = json!({
            "log_type": "auth", "mixed": mixed[number as usize], "share": number as f64 / 4.0, "ok": number % 2 == 0, "at": time,
            "day": "2015-05-17", "tags": [format!("t\"{number}"), null],
        });
        if number % 3 != 0 {
            record["n"] = json!(number);
            record["agent"] = json!({"name": number});
            // What is in the rest outranks the column.
            record["day"] = json!("none");
            record["r"] = json!(number);
        }
        record
    };
    assert_eq!(records[0], record(0, "2015-05-17T10:05:03.120000Z"));
    assert_eq!(records[1], record(1, "2015-05-17T10:05:03.120001Z"));
    assert_eq!(
        (&records[2], &records[3]),
        (&record(2, "2015-05-17T10:05:03.120002Z"), &record(3, "2015-05-17T10:05:03.120003Z"),)
    );
    let rows_of_mixed = folder.rows("select mixed, typeof(mixed) from auth order by at");
    assert_eq!(
        rows_of_mixed,
        [
            [json!(1), json!("integer")],
            [json!("a \"b"), json!("text")],
            [json!("[true]"), json!("text")],
            [json!(0.5), json!("real")],
        ]
    );
    assert_eq!(rows[1][1], json!(1));
    let rows = folder.rows("select count(*) from logs where _record ->> '$.agent.name' = 2");
    assert_eq!(rows, [[1]]);
}

#[test]
fn lines_and_parquet_are_one_table_and_a_column_that_one_lacks_is_null() {
    let folder = Folder::new();
    folder.put("auth/2015-05/17/x.parquet", &object(1, 3, Compression::SNAPPY));
    folder.put_lines("auth/2015-05/18/x.gz", &["{\"n\":\"a text\",\"only\":1}".to_owned()]);
    let rows = folder.rows("select n, only, share from auth order by typeof(n), n");
    let none = || Json::Null;
    assert_eq!(
        rows,
        [
            [json!(1), none(), json!(0.25)],
            [json!(2), none(), json!(0.5)],
            [none(), none(), json!(0.0)],
            [json!("a text"), json!(1), none()],
        ]
    );
}

#[test]
fn the_time_of_parquet_chooses_too() {
    let mut folder = Folder::new();
    folder.time_field = "at";
    folder.put("auth/2015-05/17/x.parquet", &object(1, 3, Compression::SNAPPY));
    let answer = folder.ask("select count(*) from auth where at > '2015-05-19'").unwrap();
    assert_eq!((answer.rows, answer.figures.objects_opened), (vec![vec![json!(0)]], 0));
    let answer = folder.ask("select count(*) from auth where at > '2015-05-17'").unwrap();
    assert_eq!((answer.rows, answer.figures.objects_opened), (vec![vec![json!(3)]], 1));
}

#[test]
fn of_a_large_object_only_the_columns_that_are_asked_for_are_fetched() {
    let folder = Folder::new();
    let whole = object(4, 60_000, Compression::UNCOMPRESSED);
    assert!(whole.len() > 8 << 20, "{}", whole.len());
    folder.put("auth/2015-05/17/x.parquet", &whole);
    let read = |statement: &str| {
        let answer = folder.ask(statement).unwrap();
        (answer.rows[0][0].clone(), answer.figures.bytes_read)
    };
    let (count, bytes) = read("select count(*) from auth");
    assert_eq!(count, json!(240_000));
    assert!(bytes < 100_000, "{bytes}");
    let (sum, bytes) = read("select sum(ok) from auth");
    assert_eq!(sum, json!(120_000));
    assert!(bytes < 400_000, "{bytes}");
    let (_, bytes) = read("select max(length(_record)) from auth");
    assert!(bytes > whole.len() as u64 * 9 / 10, "{bytes}");
}

#[test]
fn objects_whose_bytes_were_changed_never_end_the_process() {
    let folder = Folder::new();
    let good = object(1, 50, Compression::SNAPPY);
    let mut state = 7u32;
    let mut outcomes = [0, 0];
    for _ in 0..150 {
        let mut bad = good.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % bad.len();
            bad[at] ^= (state & 0xff) as u8;
        }
        folder.put("auth/2015-05/17/x.parquet", &bad);
        match folder.ask("select count(n), max(share), max(_record) from auth") {
            Ok(_) => outcomes[0] += 1,
            Err(_) => outcomes[1] += 1,
        }
    }
    assert!(outcomes[1] > 0, "{outcomes:?}");
}
