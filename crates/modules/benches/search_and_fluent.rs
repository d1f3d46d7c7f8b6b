//! How much CPU time `kinesis-to-es` and `kinesis-to-fluent` take for batches of 500 records, from
//! the bytes of a Kinesis record to the bytes of a request: all but the network. Then `kinesis-to-es` with gzip, and whole:
//! with HTTP over loopback and the answers read, beside a server on another core that only answers. Beside compressed
//! messages of Fluent the codec alone, on the same bytes. Then whole deliveries of `kinesis-to-fluent`, the kernel's part
//! included, to a receiver on another thread that only acknowledges.
//!
//! The records are the lines of `BAIKONUR_REAL_LOGS` (`.ndjson` or `.ndjson.gz`), by default those of
//! the fixture in `crates/record`.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baikonur_modules::intake::{Intake, IntakeSettings};
use baikonur_modules::to_fluent::{
    Chunker, Compression, Encoder, RecordFormat, Settings, ToFluent,
};
use baikonur_modules::{cluster, to_es};
use baikonur_stream::{
    Batch, Clock, ConsumerName, Deliver, Delivery, Module, Outcome, PartitionKey, Record,
    SequenceNumber, ShardAddress, ShardId, StreamName, SystemClock, Timestamp,
};
use bytes::Bytes;
use flate2::{Compress, FlushCompress, Status};
use rmp::decode::{read_array_len, read_bin_len, read_int, read_map_len, read_str_from_slice};
use tokio::runtime::Builder;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

const BATCH_RECORDS: usize = 500;
/// Each measurement runs at least this long.
const AT_LEAST: Duration = Duration::from_secs(2);
/// What `kinesis-to-es` as a whole shall take at least, in MB/s of one core.
const TO_ES_WHOLE_TARGET: f64 = 100.0;
/// 60 times the original Python modules, in MB/s.
const TO_ES_TARGET: f64 = 228.0;
const TO_FLUENT_TARGET: f64 = 702.0;

fn main() {
    let batches = batches(&logs());
    let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("bench"))
        .expect("the default settings are good");
    println!("{} batches of {BATCH_RECORDS} records, one core, no network", batches.len());
    measure("decode alone", None, &batches, |batch| {
        intake.parts(batch).map(|taken| taken.events.len()).sum()
    });
    let settings = to_es::Settings { index_name_prefix: "logs".to_owned(), ..Default::default() };
    measure("kinesis-to-es", Some(TO_ES_TARGET), &batches, |batch| {
        let parts = intake.parts(batch);
        let bytes = parts.map(|taken| {
            let bulks = to_es::Bulks::new(&settings, &batch.shard, &taken.events);
            bulks.map(|bulk| black_box(bulk.body()).len()).sum::<usize>()
        });
        bytes.sum()
    });
    measure("  and gzip", Some(TO_ES_WHOLE_TARGET), &batches, |batch| {
        let parts = intake.parts(batch);
        let bytes = parts.map(|taken| {
            let bulks = to_es::Bulks::new(&settings, &batch.shard, &taken.events);
            bulks.map(|bulk| black_box(cluster::gzip(bulk.body())).len()).sum::<usize>()
        });
        bytes.sum()
    });
    let streams = to_es::Settings { write_to: to_es::WriteTo::DataStreams, ..settings.clone() };
    measure("  into data streams", None, &batches, |batch| {
        let parts = intake.parts(batch);
        let bytes = parts.map(|taken| {
            let bulks = to_es::Bulks::new(&streams, &batch.shard, &taken.events);
            bulks.map(|bulk| black_box(bulk.body()).len()).sum::<usize>()
        });
        bytes.sum()
    });
    deliver_whole("  over HTTP", &settings, &batches);
    deliver_whole("  of 10,000 records", &settings, &of_size(&batches, 10_000));
    for (format, record_format) in
        [("message", RecordFormat::Message), ("fields", RecordFormat::Fields)]
    {
        let fluent = |compression, compression_level| Settings {
            fluent_tag: "lambda".to_owned(),
            record_format,
            compression,
            compression_level,
            ..Default::default()
        };
        // The originals send messages as they are.
        let target = if record_format == RecordFormat::Message { TO_FLUENT_TARGET } else { 100.0 };
        let name = format!("kinesis-to-fluent, {format}");
        let packed = fluent(Compression::None, 1);
        let mut plain = Fluent::new(&packed);
        measure(&name, Some(target), &batches, |batch| plain.messages(&intake, batch, |_| {}));
        for level in LEVELS {
            let compressed = fluent(Compression::Gzip, level);
            let mut fluent = Fluent::new(&compressed);
            measure(&format!("{name}, gzip {level}"), Some(100.0), &batches, |batch| {
                fluent.messages(&intake, batch, |_| {})
            });
            // The codec is given the messages whole, in one call each; what writing them takes is not counted.
            let mut kept = Vec::new();
            for batch in &batches {
                plain.messages(&intake, batch, |message| kept.push(message.to_vec()));
            }
            codec(&format!("gzip {level} alone, {format}"), level, &kept);
        }
    }
    deliveries(&batches);
}

/// Whole deliveries, with TLS and without.
fn deliveries(batches: &[Batch]) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, certified.cert.pem()).expect("a file");
    for (scheme, tls) in [("fluent", None), ("fluents", Some(acceptor(&certified)))] {
        for (format, record_format) in
            [("message", RecordFormat::Message), ("fields", RecordFormat::Fields)]
        {
            for (packing, compression) in
                [("packed", Compression::None), ("gzip 1", Compression::Gzip)]
            {
                let settings = Settings {
                    destination: format!("{scheme}://{}", receiver(tls.clone())),
                    fluent_tag: "lambda".to_owned(),
                    record_format,
                    compression,
                    tls_ca_file: tls.is_some().then(|| authority.clone()),
                    ..Default::default()
                };
                let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("bench"));
                let intake = Arc::new(intake.expect("the default settings are good"));
                let module = ToFluent::new(settings, intake, Arc::new(SystemClock::new()));
                let module = module.expect("the settings are good");
                let mut shard =
                    runtime.block_on(module.open(&batches[0].shard)).expect("an open shard");
                let name = format!("delivery, {format}, {packing}, {scheme}");
                measure(&name, Some(100.0), batches, |batch| {
                    let delivery = runtime.block_on(shard.deliver(batch));
                    assert_eq!(delivery.outcome, Outcome::Delivered);
                    0
                });
            }
        }
    }
}

fn acceptor(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .and_then(|builder| {
        let certificates = vec![certified.cert.der().clone()];
        builder.with_no_client_auth().with_single_cert(certificates, key)
    });
    Arc::new(config.expect("the certificate has this key"))
}

/// Starts a receiver that takes one connection, on a thread of its own; gives its address.
fn receiver(tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        match tls {
            Some(config) => {
                let session = rustls::ServerConnection::new(config).expect("a session");
                acknowledge(rustls::StreamOwned::new(session, socket));
            }
            None => acknowledge(socket),
        }
    });
    address
}

fn acknowledge(mut stream: impl Read + Write) {
    let (mut buffer, mut part) = (Vec::new(), vec![0; 1 << 18]);
    while let Ok(read @ 1..) = stream.read(&mut part) {
        buffer.extend_from_slice(&part[..read]);
        while let Some((id, length)) = chunk_of(&buffer) {
            let ack = [&b"\x81\xa3ack\xb8"[..], &id].concat();
            buffer.drain(..length);
            stream.write_all(&ack).expect("somebody waits for it");
        }
    }
}

/// The id of the message that `buffer` begins with, and its length; none when it is not whole.
fn chunk_of(buffer: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = buffer;
    read_array_len(&mut rest).ok()?;
    let (_, after) = read_str_from_slice(rest).ok()?;
    rest = after;
    let entries = read_bin_len(&mut rest).ok()? as usize;
    rest = rest.get(entries..)?;
    let options = read_map_len(&mut rest).ok()?;
    let (_, after) = read_str_from_slice(rest).ok()?;
    rest = after;
    read_int::<u64, _>(&mut rest).ok()?;
    let (_, after) = read_str_from_slice(rest).ok()?;
    let (id, mut rest) = read_str_from_slice(after).ok()?;
    for _ in 0..(options - 2) * 2 {
        (_, rest) = read_str_from_slice(rest).ok()?;
    }
    Some((id.as_bytes().to_vec(), buffer.len() - rest.len()))
}

/// Levels of compression: the default and zlib's own.
const LEVELS: [u32; 2] = [1, 6];

/// What the delivery of a shard has.
struct Fluent {
    chunker: Chunker,
    encoder: Encoder,
}

impl Fluent {
    fn new(settings: &Settings) -> Self {
        let tag = settings.tag_template().expect("the tag is good");
        Self { chunker: Chunker::new(settings, tag), encoder: Encoder::new(settings) }
    }

    /// Bytes of the messages of a batch; `see` is shown each of them.
    fn messages(&mut self, intake: &Intake, batch: &Batch, mut see: impl FnMut(&[u8])) -> usize {
        let mut bytes = 0;
        for taken in intake.parts(batch) {
            for chunk in self.chunker.chunks(&batch.shard, &taken.events) {
                let message = self.encoder.message(&chunk, &taken.events);
                see(message);
                bytes += black_box(message).len();
            }
        }
        bytes
    }
}

/// Compresses whole messages, and says how fast and how small.
fn codec(name: &str, level: u32, messages: &[Vec<u8>]) {
    let mut compress = Compress::new_gzip(flate2::Compression::new(level), 15);
    let mut output = Vec::new();
    let mut round = || {
        let mut bytes = 0;
        for message in messages {
            compress.reset();
            output.clear();
            output.reserve(message.len() + message.len() / 1000 + 64);
            let status = compress.compress_vec(message, &mut output, FlushCompress::Finish);
            assert_eq!(status.expect("deflate takes all"), Status::StreamEnd);
            bytes += black_box(&output).len();
        }
        bytes
    };
    let small = round();
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let clock = CpuClock::new();
    let started = clock.now();
    let mut rounds = 0.0;
    while clock.now() - started < AT_LEAST {
        round();
        rounds += 1.0;
    }
    let megabytes = rounds * bytes as f64 / 1e6 / (clock.now() - started).as_secs_f64();
    println!(
        "{name:<36} {megabytes:>7.0} MB/s of messages, to 1/{:.1}",
        bytes as f64 / small as f64
    );
}

/// `kinesis-to-es` as a mapping drives it, all of it on this thread.
fn deliver_whole(name: &str, settings: &to_es::Settings, batches: &[Batch]) {
    let mut settings = settings.clone();
    settings.bulk_records = batches[0].records.len();
    settings.cluster.destination = vec![counting_server(settings.bulk_records)];
    let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("bench"));
    let intake = Arc::new(intake.expect("the default settings are good"));
    let module = to_es::ToElasticsearch::new(settings, intake, Arc::new(SystemClock::new()), None)
        .expect("good settings");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut deliverer: Box<dyn Deliver> =
        runtime.block_on(module.open(&batches[0].shard)).expect("it opens");
    measure(name, Some(TO_ES_WHOLE_TARGET), batches, |batch| {
        let delivery = runtime.block_on(deliverer.deliver(batch));
        assert_eq!(delivery, Delivery::delivered());
        batch.records.len()
    });
}

/// A server on threads of its own that reads requests and answers in the length of a real one for `documents`.
fn counting_server(documents: usize) -> String {
    let items = vec![r#"{"index":{"status":201}}"#; documents].join(",");
    let answer: Arc<str> = format!(r#"{{"errors":false,"items":[{items}]}}"#).into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.expect("a connection");
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer_all(socket, &answer));
        }
    });
    url
}

fn answer_all(socket: TcpStream, stored: &str) {
    let mut output = socket.try_clone().expect("a second handle");
    let mut input = BufReader::with_capacity(1 << 20, socket);
    let mut body = Vec::new();
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while input.read_line(&mut line).is_ok_and(|read| read > 2) {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        body.resize(length, 0);
        if input.read_exact(&mut body).is_err() {
            return;
        }
        let answer = match length {
            0 => r#"{"version":{"number":"3.3.0","distribution":"opensearch"}}"#,
            _ => stored,
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        if output.write_all((head + answer).as_bytes()).is_err() {
            return;
        }
    }
}

/// The same records in batches of another size.
fn of_size(batches: &[Batch], records: usize) -> Vec<Batch> {
    let all: Vec<Record> = batches.iter().flat_map(|batch| batch.records.clone()).collect();
    let shard = batches[0].shard.clone();
    let batch =
        |records: &[Record]| Batch { shard: shard.clone(), records: records.to_vec(), attempt: 0 };
    all.chunks(records).map(batch).collect()
}

/// Runs `work` over all batches until the time is up, and says how fast it was.
fn measure(
    name: &str,
    target: Option<f64>,
    batches: &[Batch],
    mut work: impl FnMut(&Batch) -> usize,
) {
    let records = batches.iter().flat_map(|batch| &batch.records);
    let (count, bytes) = records.fold((0, 0), |(n, bytes), r| (n + 1, bytes + r.data.len()));
    let mut round = || batches.iter().map(&mut work).sum::<usize>();
    black_box(round());
    let clock = CpuClock::new();
    let started = clock.now();
    let mut rounds = 0.0;
    while clock.now() - started < AT_LEAST {
        black_box(round());
        rounds += 1.0;
    }
    let seconds = (clock.now() - started).as_secs_f64();
    let megabytes = rounds * bytes as f64 / 1e6 / seconds;
    let nanoseconds = seconds * 1e9 / (rounds * f64::from(count));
    print!("{name:<36} {megabytes:>7.0} MB/s {nanoseconds:>7.0} ns a record");
    match target {
        Some(target) => println!("   target {target:.0}, {:.1} times", megabytes / target),
        None => println!(),
    }
}

/// CPU time of this thread where the system tells it, else the time that passes.
struct CpuClock(SystemClock);

impl CpuClock {
    fn new() -> Self {
        Self(SystemClock::new())
    }

    fn now(&self) -> Duration {
        let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let nanoseconds = spent.and_then(|text| text.split(' ').next()?.parse().ok());
        nanoseconds.map_or_else(|| self.0.monotonic(), Duration::from_nanos)
    }
}

fn logs() -> PathBuf {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../record/tests/data/real-logs.ndjson");
    std::env::var_os("BAIKONUR_REAL_LOGS").map_or_else(|| fixture.into(), PathBuf::from)
}

fn batches(logs: &Path) -> Vec<Batch> {
    let file = File::open(logs).unwrap_or_else(|error| panic!("{}: {error}", logs.display()));
    let reader: Box<dyn Read> = if logs.extension().is_some_and(|ending| ending == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let shard = ShardAddress {
        stream: StreamName::new("logs").expect("a legal name"),
        shard: ShardId::new(0),
    };
    let key = PartitionKey::new(Bytes::from_static(b"key")).expect("a legal key");
    let lines = BufReader::new(reader).lines().map(|line| line.expect("the logs are text"));
    let record = |(counter, line): (u64, String)| Record {
        sequence_number: SequenceNumber::new(1_700_000_000, 0, counter, 1_700_000_001),
        arrival: Timestamp::from_seconds(1_700_000_001),
        partition_key: key.clone(),
        data: line.into(),
    };
    let records: Vec<Record> = (0..).zip(lines).map(record).collect();
    let batch =
        |records: &[Record]| Batch { shard: shard.clone(), records: records.to_vec(), attempt: 0 };
    records.chunks(BATCH_RECORDS).map(batch).collect()
}
