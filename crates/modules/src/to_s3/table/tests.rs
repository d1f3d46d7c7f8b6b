//! Tables read back with the crate's own reader, row by row, against the records they were made of.

use baikonur_record::LogEvent;
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ReadRow};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::objects::frames::Frames;
use crate::objects::template::tests::event;

fn settings(text: &str) -> Settings {
    toml::from_str(&format!("format = 'parquet'\n{text}")).unwrap()
}

fn table(settings: &Settings, events: &[LogEvent]) -> Table {
    let (mut framer, mut frames) = (framer(), Frames::new());
    events.iter().for_each(|event| _ = push(&mut frames, event, &mut framer));
    Table {
        settings: Arc::new(TableSettings::of(settings, Schema::default())),
        log_type: "web".to_owned(),
        blocks: frames.blocks(&mut framer),
        origin: "baikonur archive logs/shardId-000000000000 1-2".into(),
    }
}

fn events<S: AsRef<str>>(lines: &[S]) -> Vec<LogEvent> {
    lines.iter().map(|line| event(line.as_ref())).collect()
}

struct Read {
    reader: SerializedFileReader<Bytes>,
}

impl Read {
    fn of(file: &[Bytes]) -> Self {
        Self { reader: SerializedFileReader::new(Bytes::from(file.concat())).unwrap() }
    }

    fn made(text: &str, lines: &[&str]) -> Self {
        Self::of(&table(&settings(text), &events(lines)).file().unwrap())
    }

    fn columns(&self) -> String {
        let root = self.reader.metadata().file_metadata().schema();
        root.get_fields().iter().map(|column| word(column)).collect::<Vec<_>>().join(", ")
    }

    /// The rows as JSON objects, without what is null in them.
    fn rows(&self) -> Vec<Map<String, Value>> {
        let root = self.reader.metadata().file_metadata().schema().clone();
        let rows = self.reader.get_row_iter(None).unwrap();
        rows.map(|row| members(&row.unwrap(), root.get_fields())).collect()
    }
}

fn word(column: &Type) -> String {
    let name = column.name();
    if column.is_group() {
        let below: Vec<_> = column.get_fields().iter().map(|column| word(column)).collect();
        return match column.get_basic_info().converted_type() {
            ConvertedType::LIST => {
                let element = word(&column.get_fields()[0].get_fields()[0]);
                format!("{name} [{}]", element.trim_start_matches("element "))
            }
            _ => format!("{name} {{{}}}", below.join(", ")),
        };
    }
    let kind = match (column.get_physical_type(), column.get_basic_info().converted_type()) {
        (PhysicalType::BYTE_ARRAY, ConvertedType::UTF8) => "string",
        (PhysicalType::BYTE_ARRAY, ConvertedType::JSON) => "json",
        (PhysicalType::INT64, ConvertedType::TIMESTAMP_MICROS) => "timestamp",
        (PhysicalType::INT64, _) => "int",
        (PhysicalType::DOUBLE, _) => "double",
        (PhysicalType::BOOLEAN, _) => "boolean",
        other => panic!("{other:?}"),
    };
    format!("{name} {kind}")
}

fn members(row: &ReadRow, columns: &[Arc<Type>]) -> Map<String, Value> {
    let named = row.get_column_iter().zip(columns);
    let values = named.map(|((name, field), column)| (name.clone(), value(field, column)));
    values.filter(|(_, value)| !value.is_null()).collect()
}

fn value(field: &Field, column: &Type) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Long(value) | Field::TimestampMicros(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(text) if column.get_basic_info().converted_type() == ConvertedType::JSON => {
            serde_json::from_str(text).unwrap()
        }
        Field::Str(text) => json!(text),
        Field::Group(row) => Value::Object(members(row, column.get_fields())),
        Field::ListInternal(list) => {
            let element = &column.get_fields()[0].get_fields()[0];
            list.elements().iter().map(|field| value(field, element)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Without what is null in objects, and with numbers as doubles.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// A row as the record that it was.
fn record(mut row: Map<String, Value>) -> Value {
    row.remove("time");
    if let Some(Value::Object(rest)) = row.remove(REST) {
        row.extend(rest);
    }
    row.remove("time");
    plain(&Value::Object(row))
}

#[test]
fn columns_are_learnt_and_values_are_in_them() {
    let read = Read::made(
        "",
        &[
            r#"{"log_type":"web","time":"2015-05-17T10:05:03.25+09:00","status":200,"ok":true,
                "tags":["a","b"],"user":{"id":1,"name":"x\ny"},"took":1,"mixed":1}"#,
            r#"{"log_type":"web","time":"2015-05-17T01:05:04Z","status":404,"took":0.5,"mixed":"1",
                "tags":[],"user":{"id":2,"role":null},"spans":[{"n":1},null,{}],"none":null}"#,
        ],
    );
    assert_eq!(
        read.columns(),
        "time timestamp, log_type string, status int, ok boolean, tags [string], \
         user {id int, name string}, took double, mixed json, spans [{n int}], _rest json"
    );
    let rows = read.rows();
    assert_eq!(
        Value::Object(rows[0].clone()),
        json!({"time": 1_431_824_703_250_000_i64, "log_type": "web", "status": 200, "ok": true, "tags": ["a", "b"],
            "user": {"id": 1, "name": "x\ny"}, "took": 1.0, "mixed": 1})
    );
    assert_eq!(
        Value::Object(rows[1].clone()),
        json!({"time": 1_431_824_704_000_000_i64, "log_type": "web", "status": 404, "tags": [], "took": 0.5,
            "mixed": "1", "user": {"id": 2}, "spans": [{"n": 1}, null, {}]})
    );
}

#[test]
fn what_is_always_null_or_empty_gets_no_column_of_a_type_that_nobody_knows() {
    let read = Read::made(
        "",
        &[
            r#"{"a":1,"none":null,"tags":[],"o":{},"user":{"id":1,"tags":[],"x":{"y":null},"z":null}}"#,
            r#"{"a":2,"tags":[null],"user":{"id":2,"z":null}}"#,
        ],
    );
    assert_eq!(read.columns(), "time timestamp, a int, user {id int}, _rest json");
    let rows: Vec<_> = read.rows().into_iter().map(Value::Object).collect();
    assert_eq!(
        rows,
        [
            json!({"a": 1, "user": {"id": 1},
                "_rest": {"tags": [], "o": {}, "user": {"id": 1, "tags": [], "x": {"y": null}, "z": null}}}),
            json!({"a": 2, "user": {"id": 2}, "_rest": {"tags": [null]}}),
        ]
    );
}

#[test]
fn a_time_that_is_none_or_too_fine_is_kept_beside() {
    let read = Read::made(
        "",
        &[
            r#"{"log_type":"web","time":"soon"}"#,
            r#"{"log_type":"web"}"#,
            r#"{"log_type":"web","time":"2015-05-17T10:05:03.123456789Z"}"#,
            r#"{"log_type":"web","time":"2015-05-17T10:05:03.123456000Z"}"#,
            r#"{"log_type":"web","time":1431857103}"#,
        ],
    );
    let rows = read.rows();
    let seen: Vec<_> =
        rows.iter().map(|row| (row.get("time").cloned(), row.get(REST).cloned())).collect();
    let fine = Some(json!(1_431_857_103_123_456_i64));
    assert_eq!(
        seen,
        [
            (None, Some(json!({"time": "soon"}))),
            (None, None),
            (fine.clone(), Some(json!({"time": "2015-05-17T10:05:03.123456789Z"}))),
            (fine, None),
            (Some(json!(1_431_857_103_000_000_i64)), None),
        ]
    );
}

#[test]
fn given_columns_take_what_fits_and_the_rest_is_kept() {
    let columns = "[columns.web]\nstatus = 'int'\nseen = 'timestamp'\nuser = { id = 'int' }\nany = 'json'\n\
                   ids = ['int']\n[columns.'*']\nother = 'string'";
    let read = Read::made(
        columns,
        &[
            r#"{"status":1,"seen":"2015-05-17T10:00:00Z","user":{"id":1},"any":[1],"ids":[1,null]}"#,
            r#"{"status":"1","seen":"never","user":{"id":1,"x":2},"any":"t","ids":[1.5],"new":{"a":1}}"#,
            r#"{"status":2,"status":3,"seen":1431857103.5}"#,
        ],
    );
    assert_eq!(
        read.columns(),
        "time timestamp, any json, ids [int], seen timestamp, status int, user {id int}, _rest json"
    );
    let rows: Vec<_> = read.rows().into_iter().map(Value::Object).collect();
    assert_eq!(
        rows[..2],
        [
            json!({"any": [1], "ids": [1, null], "seen": 1_431_856_800_000_000_i64, "status": 1, "user": {"id": 1}}),
            json!({"any": "t", "_rest": {"status": "1", "seen": "never", "user": {"id": 1, "x": 2}, "ids": [1.5],
                "new": {"a": 1}}}),
        ]
    );
    assert_eq!(
        (&rows[2]["status"], &rows[2]["seen"]),
        (&json!(3), &json!(1_431_857_103_500_000_i64))
    );
}

#[test]
fn what_utf8_cannot_say_is_kept_as_it_was_written() {
    let read = Read::made("", &[r#"{"a":"\ud800","\ud801":1,"b":{"c":"\udfff"}}"#]);
    assert_eq!(read.columns(), "time timestamp, a json, b {c json}, _rest json");
    let rows = read.reader.get_row_iter(None).unwrap();
    let row = rows.map(Result::unwrap).next().unwrap().to_string();
    for text in [r#""\ud800""#, r#""\udfff""#, r#"{"\ud801":1}"#] {
        assert!(row.contains(text), "{row}");
    }
}

#[test]
fn a_plain_file_has_every_field_in_its_last_column() {
    let lines = [r#"{"time":"2015-05-17","a":[{"b":1}]}"#, r#"{"c":"x"}"#];
    let file = table(&settings(""), &events(&lines)).plain_file().unwrap();
    let read = Read::of(&file);
    assert_eq!(read.columns(), "time timestamp, _rest json");
    assert_eq!(read.rows()[0][REST], json!({"a": [{"b": 1}]}));
}

#[test]
fn files_have_row_groups_statistics_dictionaries_and_their_origin() {
    let lines: Vec<_> = (0..30_000)
        .map(|n| {
            format!(
                r#"{{"log_type":"web","time":{},"status":{},"n":{n}}}"#,
                1_431_857_103 + n,
                n % 5
            )
        })
        .collect();
    let mut settings = settings("");
    settings.row_group_bytes = 500_000;
    for codec in [Codec::Zstd, Codec::Snappy, Codec::None] {
        settings.compression = Some(codec);
        let table = table(&settings, &events(&lines));
        let file = table.file().unwrap();
        assert_eq!(
            file.concat(),
            table.file().unwrap().concat(),
            "the same records give the same bytes"
        );
        let read = Read::of(&file);
        let metadata = read.reader.metadata();
        assert_eq!(metadata.num_row_groups(), 4);
        let origin = metadata.file_metadata().key_value_metadata().unwrap();
        assert_eq!(origin[0].value.as_deref(), Some(&*table.origin));
        for group in metadata.row_groups() {
            let [time, .., status, n, rest] = group.columns() else { panic!() };
            assert!(time.statistics().unwrap().min_bytes_opt().is_some());
            assert!(status.dictionary_page_offset().is_some());
            assert_eq!(n.num_values(), group.num_rows());
            assert_eq!(rest.statistics().unwrap().null_count_opt(), Some(group.num_rows() as u64));
            let expected = match codec {
                Codec::Zstd => matches!(n.compression(), Compression::ZSTD(_)),
                Codec::Snappy => n.compression() == Compression::SNAPPY,
                _ => n.compression() == Compression::UNCOMPRESSED,
            };
            assert!(expected, "{:?}", n.compression());
        }
        let numbers: Vec<_> = read.rows().into_iter().map(|row| row["n"].clone()).collect();
        assert!(numbers == (0..30_000).map(|n| json!(n)).collect::<Vec<_>>());
    }
}

#[test]
fn long_lists_of_texts_go_over_in_parts() {
    let list = |n: usize| json!({"l": vec![format!("item {n}"); n]}).to_string();
    let lines: Vec<_> = [10_000, 0, 1, 20_000, 3].into_iter().map(list).collect();
    let read = Read::of(&table(&settings(""), &events(&lines)).file().unwrap());
    let lengths: Vec<_> =
        read.rows().iter().map(|row| row["l"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [10_000, 0, 1, 20_000, 3]);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        (-3i64..3).prop_map(|value| json!(value)),
        any::<u64>().prop_map(|value| json!(value)),
        // serde_json reads longer ones with an error in the last digit.
        any::<i32>().prop_map(|value| json!(f64::from(value) / 8.0)),
        any::<String>().prop_map(|value| json!(value)),
        Just(json!("2015-05-17T10:00:00Z")),
    ];
    leaf.prop_recursive(4, 24, 4, |below| {
        prop_oneof![
            prop::collection::vec(below.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys(), below), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn keys() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "A", "time", "_rest", "", "x.y", "é\"\n", "log_type"])
        .prop_map(str::to_owned)
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let record = prop::collection::vec((keys(), values()), 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    prop::collection::vec(record, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn no_field_is_lost(
        records in records(), nested in "struct|json", row_group_bytes in 1u64..400, is_given in any::<bool>(),
    ) {
        let mut settings = settings(&format!("nested_objects = '{nested}'"));
        settings.row_group_bytes = row_group_bytes;
        if is_given {
            let columns = toml::from_str("a = ['double']\nb = { a = 'string', b = 'int' }\nlog_type = 'string'");
            settings.columns.insert("*".to_owned(), columns.unwrap());
        }
        let lines: Vec<_> = records.iter().map(Value::to_string).collect();
        let events = events(&lines);
        let rows = Read::of(&table(&settings, &events).file().unwrap()).rows();
        prop_assert_eq!(rows.len(), records.len());
        for ((row, expected), event) in rows.into_iter().zip(&records).zip(&events) {
            let time = row.get("time").cloned();
            if let Some(time) = time {
                let nanos = event.time.epoch_nanos();
                prop_assert_eq!(i128::from(time.as_i64().unwrap()), nanos.div_euclid(1000));
            } else if let Some(given) = expected.get("time").filter(|given| !given.is_null()) {
                prop_assert_eq!(row[REST].get("time").map(plain), Some(plain(given)));
            }
            let mut expected = expected.clone();
            let members = expected.as_object_mut().unwrap();
            members.remove("time");
            // A field of the name of the last column is in it, beside the others.
            prop_assert_eq!(record(row), plain(&expected));
        }
    }
}
