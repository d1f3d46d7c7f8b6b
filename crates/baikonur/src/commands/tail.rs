//! `baikonur tail`: what arrives in a stream, line by line.

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use baikonur_record::{Limits, for_each_payload};
use baikonur_stream::{Clock, StreamName, SystemClock};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::moment::moment;
use crate::client::{Client, Endpoint};

/// Follow a stream: print what arrives, a line each.
///
/// Records are shown as modules see them: de-aggregated, decompressed, taken out of CloudWatch Logs envelopes. Lines of
/// one shard come in its order.
#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    /// The stream.
    stream: StreamName,
    /// Where to begin: `latest`, `trim-horizon`, or a time such as 2026-11-24T09:00:00Z.
    #[arg(long, default_value = "latest", value_name = "POSITION")]
    from: From,
    /// Stop at the newest record instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
    /// Print each record as it is in the stream, with shard, sequence number, arrival and key, as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Latest,
    TrimHorizon,
    /// Seconds since the epoch.
    Time(f64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "latest" => return Ok(Self::Latest),
            "trim-horizon" => return Ok(Self::TrimHorizon),
            _ => {}
        }
        let time = moment(text, SystemClock::new().now())
            .map_err(|error| format!("not latest or trim-horizon, and {error}"))?;
        Ok(Self::Time(time.millis() as f64 / 1000.0))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShardsAnswer {
    shards: Vec<ListedShard>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedShard {
    shard_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorAnswer {
    shard_iterator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsAnswer {
    records: Vec<GotRecord>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: Option<u64>,
    #[serde(default)]
    child_shards: Vec<ChildShard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShard {
    shard_id: String,
    #[serde(default)]
    parent_shards: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GotRecord {
    sequence_number: String,
    approximate_arrival_timestamp: Value,
    partition_key: String,
    data: String,
}

/// What a shard's task tells.
enum News {
    Lines(Vec<u8>),
    /// A shard was read to its end, and goes on in these.
    Ended(String, Vec<ChildShard>),
}

/// Which shards are being read, and which wait for their parents: the records of a merged shard come after those of both.
#[derive(Default)]
struct Lineage {
    /// All that were begun.
    begun: HashSet<String>,
    /// Of them, those whose end was not reached yet.
    running: HashSet<String>,
    /// Told by a parent, in its order.
    waiting: Vec<ChildShard>,
}

impl Lineage {
    /// A shard is begun; false if it was before.
    fn begin(&mut self, id: &str) -> bool {
        self.running.insert(id.to_owned());
        self.begun.insert(id.to_owned())
    }

    /// A shard has ended; gives the shards that can be begun now.
    fn end(&mut self, id: &str, children: Vec<ChildShard>) -> Vec<String> {
        self.running.remove(id);
        for child in children {
            let is_known = self.begun.contains(&child.shard_id)
                || self.waiting.iter().any(|waiting| waiting.shard_id == child.shard_id);
            if !is_known {
                self.waiting.push(child);
            }
        }
        let running = &self.running;
        let waits = |child: &ChildShard| child.parent_shards.iter().any(|id| running.contains(id));
        let (waiting, ready): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(waits);
        self.waiting = waiting;
        let ready: Vec<String> = ready.into_iter().map(|child| child.shard_id).collect();
        for id in &ready {
            self.begin(id);
        }
        ready
    }
}

/// Pause at the tip of a shard.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often the same call is repeated before tail gives up.
const ERRORS_MAX: u32 = 30;

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let shards = list_shards(&client, &self.stream).await?;
        let (news, mut arriving) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        let mut lineage = Lineage::default();
        let position = match self.from {
            From::Latest => json!({ "ShardIteratorType": "LATEST" }),
            From::TrimHorizon => json!({ "ShardIteratorType": "TRIM_HORIZON" }),
            From::Time(at) => json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at }),
        };
        let shard = |id: String, position: Value| Shard {
            client: client.clone(),
            stream: self.stream.clone(),
            id,
            position,
            follow: !self.no_follow,
            json: self.json,
            news: news.clone(),
        };
        for id in shards {
            lineage.begin(&id);
            tasks.spawn(shard(id, position.clone()).run());
        }
        let mut out = std::io::stdout().lock();
        loop {
            tokio::select! {
                biased;
                Some(news) = arriving.recv() => match news {
                    News::Lines(lines) => {
                        out.write_all(&lines)?;
                        out.flush()?;
                    }
                    News::Ended(parent, children) => for id in lineage.end(&parent, children) {
                        let horizon = json!({ "ShardIteratorType": "TRIM_HORIZON" });
                        tasks.spawn(shard(id, horizon).run());
                    },
                },
                ended = tasks.join_next() => match ended {
                    Some(ended) => ended.context("a reader broke off")??,
                    None => return Ok(ExitCode::SUCCESS),
                },
            }
        }
    }
}

async fn list_shards(client: &Client, stream: &StreamName) -> anyhow::Result<Vec<String>> {
    let mut shards = Vec::new();
    let mut body = json!({ "StreamName": stream });
    loop {
        let page: ListShardsAnswer = client.call("ListShards", body.to_string()).await?;
        shards.extend(page.shards.into_iter().map(|shard| shard.shard_id));
        match page.next_token {
            Some(token) => body = json!({ "NextToken": token }),
            None => return Ok(shards),
        }
    }
}

struct Shard {
    client: Client,
    stream: StreamName,
    id: String,
    /// Where to begin, or to go on when an iterator is lost.
    position: Value,
    follow: bool,
    json: bool,
    news: mpsc::Sender<News>,
}

impl Shard {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut iterator = None;
        let mut errors = 0;
        loop {
            let page = match self.page(&mut iterator).await {
                Ok(page) => page,
                Err(error) => {
                    errors += 1;
                    let expired = error.is("ExpiredIteratorException");
                    if !(expired || error.may_pass() && self.follow) || errors > ERRORS_MAX {
                        return Err(error.into());
                    }
                    iterator = None;
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            };
            errors = 0;
            let at_tip = page.records.is_empty() && page.millis_behind_latest == Some(0);
            if let Some(last) = page.records.last() {
                self.position = json!({
                    "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                    "StartingSequenceNumber": last.sequence_number,
                });
                let lines = self.lines(page.records)?;
                if self.news.send(News::Lines(lines)).await.is_err() {
                    return Ok(());
                }
            }
            iterator = page.next_shard_iterator;
            if iterator.is_none() {
                let _ = self.news.send(News::Ended(self.id, page.child_shards)).await;
                return Ok(());
            }
            if at_tip && !self.follow {
                return Ok(());
            }
            if at_tip {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn page(
        &self,
        iterator: &mut Option<String>,
    ) -> Result<GetRecordsAnswer, crate::client::CallError> {
        let current = match iterator.take() {
            Some(current) => current,
            None => {
                let mut body = self.position.clone();
                body["StreamName"] = json!(self.stream);
                body["ShardId"] = json!(self.id);
                let answer: IteratorAnswer =
                    self.client.call("GetShardIterator", body.to_string()).await?;
                answer.shard_iterator
            }
        };
        let body = json!({ "ShardIterator": current }).to_string();
        self.client.call("GetRecords", body).await
    }

    fn lines(&self, records: Vec<GotRecord>) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for record in records {
            let data = base64_simd::STANDARD
                .decode_to_vec(record.data.as_bytes())
                .map_err(|error| anyhow::anyhow!("{}: data is no base64: {error}", self.id))?;
            if self.json {
                let (name, data) = match String::from_utf8(data) {
                    Ok(text) => ("data", text),
                    Err(_) => ("data_base64", record.data),
                };
                let line = json!({
                    "shard": self.id,
                    "sequence_number": record.sequence_number,
                    "arrival": record.approximate_arrival_timestamp,
                    "partition_key": record.partition_key,
                    name: data,
                });
                lines.extend_from_slice(line.to_string().as_bytes());
                lines.push(b'\n');
                continue;
            }
            for_each_payload(&Bytes::from(data), &Limits::default(), |payload| {
                let bytes = match payload {
                    Ok(payload) => payload.bytes,
                    Err(rejected) => rejected.bytes,
                };
                lines.extend_from_slice(&bytes);
                lines.push(b'\n');
            });
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_shard_is_begun_after_both_of_its_parents() {
        let child = |id: &str, parents: &[&str]| ChildShard {
            shard_id: id.to_owned(),
            parent_shards: parents.iter().map(|&id| id.to_owned()).collect(),
        };
        let mut lineage = Lineage::default();
        assert!(lineage.begin("0") && lineage.begin("1") && !lineage.begin("1"));
        let merged = || vec![child("2", &["0", "1"])];
        assert!(lineage.end("0", merged()).is_empty(), "the other parent is being read");
        assert_eq!(lineage.end("1", merged()), ["2"]);
        assert!(lineage.end("1", merged()).is_empty(), "once");
        assert_eq!(lineage.end("2", vec![child("3", &["2"]), child("4", &["2"])]), ["3", "4"]);
        // A parent that is not read, because its records had expired, is not waited for.
        assert_eq!(lineage.end("3", vec![child("6", &["3", "5"])]), ["6"]);
    }

    #[test]
    fn positions_are_words_or_times() {
        assert_eq!("TRIM_HORIZON".parse(), Ok(From::TrimHorizon));
        assert_eq!("latest".parse(), Ok(From::Latest));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(From::Time(1.5)));
        assert_eq!("1970-01-01T09:00:00+09:00".parse(), Ok(From::Time(0.0)));
        assert!("in a while".parse::<From>().is_err());
    }
}
