//! What a scaling did, and how the key space lies then.

use baikonur_stream::StreamName;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct, Serializer};

use crate::key_space::{KeySpace, OpenShard};

/// How a scaling ended; names as in amazon-kinesis-scaling-utils.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EndStatus {
    /// Done.
    Ok,
    /// There are as many shards as wished for.
    NoActionRequired,
    /// The minimum forbids fewer.
    AlreadyAtMinimum,
    /// The maximum forbids more.
    AlreadyAtMaximum,
    /// Only looked.
    ReportOnly,
    /// It broke off; what was done until then stays.
    Error,
}

/// More or fewer shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Direction {
    /// More.
    Up,
    /// Fewer.
    Down,
    /// As many.
    None,
}

impl Direction {
    /// The way from one number of shards to another.
    pub fn between(from: u32, to: u32) -> Self {
        match from.cmp(&to) {
            std::cmp::Ordering::Less => Self::Up,
            std::cmp::Ordering::Greater => Self::Down,
            std::cmp::Ordering::Equal => Self::None,
        }
    }
}

/// Calls that changed a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations {
    /// Calls of UpdateShardCount.
    pub updates: u32,
    /// Calls of SplitShard.
    pub splits: u32,
    /// Calls of MergeShards.
    pub merges: u32,
}

impl Operations {
    /// All of them.
    pub fn total(self) -> u32 {
        self.updates + self.splits + self.merges
    }
}

/// What became of a scaling.
///
/// As JSON it has the fields of amazon-kinesis-scaling-utils' report, but hash keys are texts
/// (JSON numbers of 128 bits are read wrongly by most) and `pctOfKeyspace` is a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The stream.
    pub stream: StreamName,
    /// How it ended.
    pub status: EndStatus,
    /// Where it was to go.
    pub direction: Direction,
    /// What it took.
    pub operations: Operations,
    /// Open shards before.
    pub before: u32,
    /// What went wrong.
    pub error: Option<String>,
    /// The open shards now.
    pub layout: KeySpace,
}

impl Report {
    /// A look at a stream.
    pub fn only(stream: StreamName, layout: KeySpace) -> Self {
        Self {
            stream,
            status: EndStatus::ReportOnly,
            direction: Direction::None,
            operations: Operations::default(),
            before: layout.count(),
            error: None,
            layout,
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Report", 11)?;
        report.serialize_field("streamName", &self.stream)?;
        report.serialize_field("endStatus", &self.status)?;
        report.serialize_field("scaleDirection", &self.direction)?;
        report.serialize_field("operationsMade", &self.operations.total())?;
        report.serialize_field("updates", &self.operations.updates)?;
        report.serialize_field("splits", &self.operations.splits)?;
        report.serialize_field("merges", &self.operations.merges)?;
        report.serialize_field("shardsBefore", &self.before)?;
        report.serialize_field("shards", &self.layout.count())?;
        if let Some(error) = &self.error {
            report.serialize_field("error", error)?;
        }
        report.serialize_field("layout", &Layout(self.layout.shards()))?;
        report.end()
    }
}

/// An object with a key for each shard, lowest hash keys first.
struct Layout<'r>(&'r [OpenShard]);

impl Serialize for Layout<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut layout = serializer.serialize_map(Some(self.0.len()))?;
        for shard in self.0 {
            let id = shard.id.to_string();
            let (start, end) = (shard.range.start.value(), shard.range.end.value());
            let row = ShardRow {
                shard_id: &id,
                start_hash: start.to_string(),
                end_hash: end.to_string(),
                hash_width: (end - start).to_string(),
                percent: shard.share().percent(),
            };
            layout.serialize_entry(&id, &row)?;
        }
        layout.end()
    }
}

#[derive(Serialize)]
struct ShardRow<'r> {
    #[serde(rename = "shardID")]
    shard_id: &'r str,
    #[serde(rename = "startHash")]
    start_hash: String,
    #[serde(rename = "endHash")]
    end_hash: String,
    /// End less start, as the original has it: one less than the number of hash keys.
    #[serde(rename = "hashWidth")]
    hash_width: String,
    #[serde(rename = "pctOfKeyspace")]
    percent: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use baikonur_stream::{HashKeyRange, ShardId};

    #[test]
    fn a_report_is_json_in_the_order_of_the_key_space() {
        let ranges = HashKeyRange::evenly(3);
        let shards = [(7, 0), (2, 1), (5, 2)]
            .map(|(id, place)| OpenShard { id: ShardId::new(id), range: ranges[place] });
        let layout = KeySpace::new(shards.to_vec()).unwrap();
        let report = Report {
            status: EndStatus::Error,
            direction: Direction::Up,
            operations: Operations { updates: 1, splits: 2, merges: 3 },
            before: 2,
            error: Some("why".to_owned()),
            ..Report::only(StreamName::new("router").unwrap(), layout)
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            json,
            r#"{"streamName":"router","endStatus":"Error","scaleDirection":"UP","operationsMade":6,"#.to_owned()
                + r#""updates":1,"splits":2,"merges":3,"shardsBefore":2,"shards":3,"error":"why","layout":{"#
                + r#""shardId-000000000007":{"shardID":"shardId-000000000007","startHash":"0","endHash":"113427455640312821154458202477256070484","hashWidth":"113427455640312821154458202477256070484","pctOfKeyspace":33.3333333333},"#
                + r#""shardId-000000000002":{"shardID":"shardId-000000000002","startHash":"113427455640312821154458202477256070485","endHash":"226854911280625642308916404954512140969","hashWidth":"113427455640312821154458202477256070484","pctOfKeyspace":33.3333333333},"#
                + r#""shardId-000000000005":{"shardID":"shardId-000000000005","startHash":"226854911280625642308916404954512140970","endHash":"340282366920938463463374607431768211455","hashWidth":"113427455640312821154458202477256070485","pctOfKeyspace":33.3333333333}}}"#
        );
    }
}
