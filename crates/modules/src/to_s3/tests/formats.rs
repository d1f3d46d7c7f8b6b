//! The same archiving in every format, codec and layout.

use baikonur_record::scan;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use super::*;

/// Settings of all kinds.
pub(super) const ALL: [&str; 9] = [
    "",
    "compression = 'zstd'",
    "compression = 'snappy'",
    "compression = 'hadoop-snappy'",
    "compression = 'none'",
    "key_layout = 'hive'",
    "format = 'parquet'",
    "format = 'parquet'\ncompression = 'snappy'\nkey_layout = 'hive'\nrow_group_bytes = 1048576",
    "format = 'parquet'\nkey_layout = '{log_type}/{log_id}'\n[columns.'*']\nlog_type = 'string'\nn = 'int'",
];

pub(super) fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

/// The lines of an object.
#[expect(clippy::disallowed_methods, reason = "a test, and its own files")]
pub(super) fn lines_of(key: &str, bytes: &[u8]) -> Vec<String> {
    let mut raw = Vec::new();
    match key.rsplit_once('.').unwrap().1 {
        "gz" => _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut raw).unwrap(),
        "zst" => {
            _ = zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut raw).unwrap();
        }
        "sz" => _ = snap::read::FrameDecoder::new(bytes).read_to_end(&mut raw).unwrap(),
        "snappy" => {
            let mut rest = bytes;
            while let Some((lengths, behind)) = rest.split_first_chunk::<8>() {
                let length = u32::from_be_bytes(*lengths.last_chunk().unwrap()) as usize;
                raw.extend(snap::raw::Decoder::new().decompress_vec(&behind[..length]).unwrap());
                rest = &behind[length..];
            }
        }
        "ndjson" => raw.extend_from_slice(bytes),
        "parquet" => return rows_of(bytes),
        other => panic!("{other}"),
    }
    String::from_utf8(raw).unwrap().lines().map(str::to_owned).collect()
}

/// The lines of [`super::lines`], from their columns or from what is beside them.
fn rows_of(bytes: &[u8]) -> Vec<String> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
    let columns = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let place = |name: &str| columns.iter().position(|column| column.name() == name);
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| {
        let day = row.get_timestamp_micros(place("time").unwrap()).unwrap() / DAY_MICROS - 16_565;
        let log_type = row.get_string(place("log_type").unwrap()).unwrap();
        let n = row.get_long(place("n").unwrap()).unwrap();
        let id = match place("log_id") {
            Some(place) => row.get_string(place).unwrap().clone(),
            None => {
                row.get_string(place(REST).unwrap()).unwrap().split('"').nth(3).unwrap().to_owned()
            }
        };
        format!(r#"{{"log_type":"{log_type}","time":"2015-05-1{day}","log_id":"{id}","n":{n}}}"#)
    })
    .collect()
}

#[tokio::test]
async fn every_kind_of_object_holds_its_lines_under_a_key_of_its_own() {
    let line = |day: u8, id: u8, n: u8| {
        format!(r#"{{"log_type":"t1","time":"2015-05-1{day}","log_id":"{id}","n":{n}}}"#)
    };
    let lines = [line(0, 1, 0), line(1, 1, 1), line(0, 2, 2)];
    for (text, ends) in ALL.into_iter().zip([
        ["t1/2015-05/10/2015-05-10-00:00:00-1.gz", "t1/2015-05/11/2015-05-11-00:00:00-1.gz"],
        ["t1/2015-05/10/2015-05-10-00:00:00-1-*.zst", "t1/2015-05/11/2015-05-11-00:00:00-1-*.zst"],
        ["t1/2015-05/10/2015-05-10-00:00:00-1-*.sz", "t1/2015-05/11/2015-05-11-00:00:00-1-*.sz"],
        [
            "t1/2015-05/10/2015-05-10-00:00:00-1-*.snappy",
            "t1/2015-05/11/2015-05-11-00:00:00-1-*.snappy",
        ],
        [
            "t1/2015-05/10/2015-05-10-00:00:00-1-*.ndjson",
            "t1/2015-05/11/2015-05-11-00:00:00-1-*.ndjson",
        ],
        [
            "log_type=t1/year=2015/month=05/day=10/hour=00/20150510T000000-1-*.ndjson.gz",
            "log_type=t1/year=2015/month=05/day=11/hour=00/20150511T000000-1-*.ndjson.gz",
        ],
        [
            "t1/2015-05/10/2015-05-10-00:00:00-1-*.parquet",
            "t1/2015-05/11/2015-05-11-00:00:00-1-*.parquet",
        ],
        [
            "log_type=t1/year=2015/month=05/day=10/hour=00/20150510T000000-1-*.parquet",
            "log_type=t1/year=2015/month=05/day=11/hour=00/20150511T000000-1-*.parquet",
        ],
        ["t1/1/20150510T000000-1-*.parquet", "t1/2/20150510T000000-2-*.parquet"],
    ]) {
        let archive = Archive::new(settings(text));
        let mut archiving = archive.open("a").await;
        archiving.deliver(&batch(&lines)).await;
        let keys = archiving.keys();
        assert_eq!(archiving.close().await, Delivery::delivered());
        let objects = archive.objects();
        assert_eq!(objects.keys().collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>(), "{text}");
        for (key, end) in keys.iter().zip(ends) {
            let (before, behind) = end.split_once('*').unwrap_or((end, ""));
            assert!(key.starts_with(before) && key.ends_with(behind), "{key} is no {end}");
        }
        assert_eq!(
            archive.lines(),
            {
                let mut lines = lines.to_vec();
                lines.sort();
                lines
            },
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_repeated_range_gives_the_same_bytes() {
    let lines: Vec<_> = (0..3000)
        .map(|n| format!(r#"{{"log_type":"t1","time":"2015-05-10","log_id":"{}","n":{n}}}"#, n % 7))
        .collect();
    for text in ALL {
        let archived = async |sizes: &[usize]| {
            let archive = Archive::new(settings(text));
            let mut archiving = archive.open("a").await;
            deliver(&mut *archiving, &shard("a"), &records(&lines), sizes).await;
            archiving.close().await;
            archive.files()
        };
        assert!(archived(&[3000]).await == archived(&[1, 250, 7]).await, "{text}");
    }
}

/// Counts the bytes that are on their way at the same time.
#[derive(Default)]
struct Slow {
    under_way: AtomicU64,
    most: AtomicU64,
}

#[async_trait]
impl ObjectDestination for Slow {
    async fn head(&self, _: &str, _: usize) -> Result<Option<Bytes>, ObjectError> {
        Ok(None)
    }

    async fn put(&self, _: &str, _: Vec<Bytes>, _: PutMode) -> Result<(), ObjectError> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        key.to_owned()
    }
}

#[tokio::test]
async fn files_are_made_and_unpacked_within_the_memory_until_they_are_written() {
    let lines: Vec<_> = (0..6)
        .map(|n| {
            let text = "x".repeat(500);
            format!(r#"{{"log_type":"t{n}","time":"2015-05-10","log_id":"1","n":"{text}"}}"#)
        })
        .collect();
    for text in ["format = 'parquet'", "compression = 'none'"] {
        let most = async |memory_bytes: u64| {
            let (slow, clock) = (Arc::new(Slow::default()), Arc::new(SetClock::default()));
            let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("archive"));
            let settings = Settings { memory_bytes, ..settings(text) };
            let module =
                ToS3::new(settings, Arc::new(intake.unwrap()), slow.clone(), clock).unwrap();
            let mut archiving = module.open(&shard("a")).await.unwrap();
            archiving.deliver(&batch(&lines)).await;
            assert_eq!(archiving.close().await, Delivery::delivered());
            slow.most.load(Ordering::Relaxed)
        };
        assert_eq!(most(1).await, 1, "{text}");
        if text != "format = 'parquet'" {
            assert!(most(1 << 30).await > 1, "{text}");
        }
    }
}

#[tokio::test]
async fn what_cuts_a_table_short_is_told() {
    let settings = settings("format = 'parquet'");
    let table = Arc::new(Table {
        settings: Arc::new(TableSettings::of(&settings, Default::default())),
        log_type: String::new(),
        blocks: Vec::new(),
        origin: "here".into(),
    });
    assert!(off_thread(&table, Table::file).await.is_ok());
    let reason = off_thread(&table, |_| panic!("a mistake of ours")).await.unwrap_err();
    assert!(reason.contains("cut short"), "{reason}");
    let damaged = Piece::Packed { frame: Bytes::from_static(b"no frame"), content_bytes: 9 };
    let table = Arc::into_inner(table).unwrap();
    let table = Arc::new(Table { blocks: vec![damaged], ..table });
    let reason = off_thread(&table, Table::plain_file).await.unwrap_err();
    assert!(reason.contains("unpacked"), "{reason}");
}

#[tokio::test]
async fn foreign_records_do_not_stop_a_table() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let wide: Vec<_> = (0..2000).map(|n| format!("\"{n}\":{{\"x\":[{n}]}}")).collect();
    let wide = format!("{{{}}}", wide.join(","));
    let long = format!(r#"{{"{}":1,"b":"{}"}}"#, "k".repeat(70_000), "x".repeat(2 << 20));
    let lines = [
        deep.as_str(),
        &wide,
        &long,
        r#"{"a":1,"a":"x","":{},"_rest":"\ud800"}"#,
        "{}",
        r#"{"a":1e999999,"b":-0.0,"c":123456789012345678901234567890,"time":"\u0000"}"#,
    ];
    for text in
        ["format = 'parquet'", "format = 'parquet'\n[columns.'*']\na = ['double']\nb = 'string'"]
    {
        let archive = Archive::new(settings(text));
        let mut archiving = archive.open("a").await;
        let delivery = archiving.deliver(&batch(&lines)).await;
        assert!(matches!(delivery.outcome, Outcome::Held(_)) && delivery.rejected.is_empty());
        assert_eq!(archiving.close().await, Delivery::delivered());
        let mut rows = 0;
        for file in archive.files().into_values() {
            let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                rows += 1;
                let rest =
                    row.unwrap().get_column_iter().last().map(|(_, field)| field.to_string());
                let rest = rest.unwrap();
                assert!(
                    rest == "null"
                        || scan::root(rest.trim_matches('"').as_bytes(), |cursor, _| {
                            cursor.value().map(|_| ())
                        })
                        .is_ok()
                );
            }
        }
        assert_eq!(rows, lines.len());
    }
}
