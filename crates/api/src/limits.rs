//! Every limit of the HTTP front, by name, with where it comes from.
//!
//! "Model" is the public service model of Kinesis Data Streams, "quotas" the quotas page.

use std::time::Duration;

use crate::wire::constraint::Rule;

/// Largest payload of a record of any stream (model); what a stream takes is one of its properties.
pub(crate) const RECORD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// That property, `MaxRecordSizeInKiB` (model).
pub(crate) const RECORD_KIB: Rule = Rule::Range(1024, 10_240);
/// Most records of a PutRecords call (model).
pub(crate) const PUT_RECORDS_MAX: usize = 500;
/// Most bytes of payloads and partition keys in a PutRecords call (API text).
pub(crate) const PUT_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Most records that GetRecords returns, also the default (model).
pub(crate) const GET_RECORDS_MAX: i32 = 10_000;
/// Most bytes of payloads and partition keys that GetRecords returns (API text).
pub(crate) const GET_BYTES_MAX: usize = 10 * 1024 * 1024;
/// DescribeStream: shards of a page, default and cap (API text).
pub(crate) const DESCRIBE_SHARDS_MAX: usize = 100;
/// ListShards: shards of a page, default and cap (API text).
pub(crate) const LIST_SHARDS_MAX: usize = 1000;
/// ListStreamConsumers: consumers of a page, default and cap (API text).
pub(crate) const LIST_CONSUMERS_MAX: usize = 100;
/// ListStreams: streams of a page, default and cap (API text).
pub(crate) const LIST_STREAMS_MAX: usize = 100;
/// Shards that UpdateShardCount makes at most (API text).
pub(crate) const SHARD_COUNT_MAX: u32 = 10_000;
/// Warm throughput at most, in MiB/s: 10 GiB/s (API text).
pub(crate) const WARM_THROUGHPUT_MIBPS_MAX: u32 = 10 * 1024;
/// Shards of an account (quotas: in the largest regions).
pub(crate) const SHARDS_MAX: u32 = 20_000;
/// On-demand streams of an account (quotas).
pub(crate) const ON_DEMAND_STREAMS_MAX: u32 = 50;
/// Life of a subscription (API text of SubscribeToShard).
pub(crate) const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(300);
/// A subscription is not replaced by another of the same consumer before this (API text).
pub(crate) const SUBSCRIPTION_HOLD: Duration = Duration::from_secs(5);
/// A subscription without records gets an empty event this often (seen on the service).
pub(crate) const SUBSCRIPTION_PULSE: Duration = Duration::from_secs(5);
/// Payload of one event of a subscription, unless a single record is larger.
pub(crate) const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a resource policy: what identity policies of a resource may have elsewhere (IAM quotas).
/// The catalog holds it, so it is bounded.
pub(crate) const POLICY_BYTES_MAX: usize = 20 * 1024;
/// Life of a shard iterator and of a `NextToken` (API text).
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(300);
/// Items that a validation message lists at most (seen on the service).
pub(crate) const VIOLATIONS_MAX: usize = 10;

/// Elements of a list that are kept while a request is read: above every length allowed.
pub(crate) const LIST_KEPT_MAX: usize = 1000;

/// How deep arrays and maps may lie in each other in CBOR, as `serde_json` allows in JSON.
pub(crate) const CBOR_DEPTH_MAX: usize = 128;

/// Largest request body: 10 MiB of payload are 13.4 MiB in base64, and names and keys come on top.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that the client gets the answer.
pub(crate) const DRAIN_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// Buffer of a connection: bounds the head of a request, and how much is read at once.
pub(crate) const CONNECTION_BUFFER_BYTES: usize = 256 * 1024;
/// Most header fields of a request.
pub(crate) const HEADERS_MAX: usize = 100;
/// Time to send the head of a request, and how long a connection may be idle.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to send the body of a request, and how long any part of it may be waited for. What came
/// earns more, see [`BODY_RATE_MIN`].
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a body that earn a second more to send it: a client that is slow but goes on is served.
pub(crate) const BODY_RATE_MIN: usize = 64 * 1024;
/// How long an answer may wait for its client. What the client takes earns more, see
/// [`ANSWER_RATE_MIN`].
pub(crate) const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of answers that earn a second more to take the rest: a client that is slow but goes on is
/// served, and one that takes a byte a minute is not. On HTTP/2 this is asked of each stream, so it
/// is less than what is asked of bodies.
pub(crate) const ANSWER_RATE_MIN: usize = 8 * 1024;
/// Time for a TLS handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2: requests of a connection at once (RFC 9113, 6.5.2 advises against fewer).
pub(crate) const H2_STREAMS_MAX: u32 = 100;
/// HTTP/2: how much of a body may come before it is asked for.
pub(crate) const H2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// HTTP/2: the same for all bodies of a connection. All windows fit: otherwise bodies that wait for
/// room in memory would keep away those that have it.
pub(crate) const H2_CONNECTION_WINDOW_BYTES: u32 = H2_STREAMS_MAX * H2_STREAM_WINDOW_BYTES;
/// HTTP/2: the largest frame taken.
pub(crate) const H2_FRAME_BYTES_MAX: u32 = 64 * 1024;
/// HTTP/2: the header fields of a request, with 32 bytes for each (RFC 9113, 6.5.2).
pub(crate) const H2_HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// HTTP/2: what is given to the protocol of an answer before its client has opened its window.
pub(crate) const H2_SEND_BUFFER_BYTES: usize = 256 * 1024;
/// HTTP/2: pieces in which an answer is handed over: the smallest frame that every client takes
/// (RFC 9113, 4.2).
pub(crate) const H2_PIECE_BYTES: usize = 16 * 1024;
/// HTTP/2: streams that a client may open and reset before they are looked at (CVE-2023-44487).
pub(crate) const H2_RESETS_PENDING_MAX: usize = 20;
/// HTTP/2: streams that a client may make the server reset (CVE-2025-8671).
pub(crate) const H2_RESETS_CAUSED_MAX: usize = 256;
/// HTTP/2: how often a client is asked whether it is there, and how long it may take to say so.
pub(crate) const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long requests under way may take after the server was told to stop.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What a GetRecords answer may take in memory: the page, and a third more in base64.
pub(crate) const ANSWER_BYTES_MAX: usize = GET_BYTES_MAX * 7 / 3 + FRAMING_BYTES_MAX;
/// What an event of a subscription may take, unless a single record is larger.
pub(crate) const EVENT_ROOM_BYTES: usize =
    (EVENT_BYTES_MAX + KEY_BYTES_MAX) * 7 / 3 + FRAMING_BYTES_MAX;
/// A partition key: 256 characters (model) of 4 bytes at most.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Names, numbers and keys of 10,000 records.
const FRAMING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Where there are several accounts, each has at most one part in so many of the memory for answers, in
/// a region.
pub(crate) const ANSWER_SHARE: usize = 2;

const _: () = assert!(PUT_BYTES_MAX / 3 * 4 + PUT_RECORDS_MAX * 1024 < BODY_BYTES_MAX);
const _: () = assert!(H2_SEND_BUFFER_BYTES > H2_PIECE_BYTES);
const _: () = assert!(PUT_RECORDS_MAX < LIST_KEPT_MAX);
const _: () = assert!(RECORD_BYTES_MAX <= PUT_BYTES_MAX && RECORD_BYTES_MAX <= GET_BYTES_MAX);
