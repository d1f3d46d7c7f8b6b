//! The counters of an embedded server, from its page `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

use baikonur_stream::{ShardId, ShardUsage, StreamName};
use reqwest::Certificate;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The page with the counters.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    page: String,
    trusted: Vec<Certificate>,
}

impl Counters {
    /// Of the server at `endpoint`.
    pub(crate) fn at(endpoint: &str, trusted: Vec<Certificate>) -> Self {
        Self { page: format!("{}/metrics", endpoint.trim_end_matches('/')), trusted }
    }

    /// What went through the shards of the stream with this ARN; shards without any are missing.
    pub(crate) async fn read(
        &self,
        stream: &StreamName,
        arn: &str,
    ) -> Result<BTreeMap<ShardId, ShardUsage>, String> {
        let page = &self.page;
        let told = |error: reqwest::Error| format!("{page}: {}", crate::refusal::innermost(&error));
        let mut client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
        if !self.trusted.is_empty() {
            client = client.tls_certs_only(self.trusted.iter().cloned());
        }
        let client = client.build();
        let answer = client.map_err(told)?.get(page).send().await.map_err(told)?;
        let answer = answer.error_for_status().map_err(told)?;
        let text = answer.text().await.map_err(told)?;
        if !text.contains("baikonur_stream_") && !text.is_empty() {
            return Err(format!(
                "{page} has no counters of streams: is it baikonur that serves it?"
            ));
        }
        Ok(read_page(&text, &label(&text, stream, arn)))
    }
}

/// How a page calls a stream: by its name, or, if it is not of the server's own account and region, by
/// `account/region/name`. Every stream has a line, so one that is not called by the longer name is the
/// server's own.
fn label(text: &str, stream: &StreamName, arn: &str) -> String {
    let name = stream.as_str();
    let mut parts = arn.split(':').skip(3);
    if let (Some(region), Some(account)) = (parts.next(), parts.next()) {
        let qualified = format!("{account}/{region}/{name}");
        if text.contains(&format!("stream=\"{qualified}\"")) {
            return qualified;
        }
    }
    name.to_owned()
}

/// Lines such as `baikonur_stream_records_in_total{stream="s",shard="shardId-000000000000"} 5`.
fn read_page(text: &str, stream: &str) -> BTreeMap<ShardId, ShardUsage> {
    let mut shards = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once('}') else { continue };
        let label = |wanted: &str| {
            let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
            labels.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"'))
        };
        let Some(Ok(shard)) = label("shard").map(str::parse::<ShardId>) else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        if label("stream") != Some(stream) {
            continue;
        }
        let field: fn(&mut ShardUsage) -> &mut u64 = match name {
            "baikonur_stream_records_in_total" => |usage| &mut usage.records_in,
            "baikonur_stream_bytes_in_total" => |usage| &mut usage.bytes_in,
            "baikonur_stream_records_out_total" => |usage| &mut usage.records_out,
            "baikonur_stream_bytes_out_total" => |usage| &mut usage.bytes_out,
            _ => continue,
        };
        let usage = shards.entry(shard).or_insert(ShardUsage {
            shard,
            records_in: 0,
            bytes_in: 0,
            records_out: 0,
            bytes_out: 0,
        });
        *field(usage) = value;
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_one_stream_are_read() {
        let text = r#"
# TYPE baikonur_stream_records_in_total counter
baikonur_stream_records_in_total{stream="router",shard="shardId-000000000003"} 50
baikonur_stream_records_in_total{stream="other",shard="shardId-000000000003"} 7
baikonur_stream_bytes_in_total{stream="router",shard="shardId-000000000003"} 5000
baikonur_stream_records_out_total{shard="shardId-000000000004",stream="router"} 2
baikonur_stream_bytes_out_total{stream="router",shard="shardId-000000000004"} 99
baikonur_batch_seconds_bucket{module="m",le="+Inf"} 1
baikonur_up 1
"#;
        let read = read_page(text, "router");
        let ids = [3, 4].map(ShardId::new);
        let usage = |shard, numbers: [u64; 4]| ShardUsage {
            shard,
            records_in: numbers[0],
            bytes_in: numbers[1],
            records_out: numbers[2],
            bytes_out: numbers[3],
        };
        let expected = [usage(ids[0], [50, 5000, 0, 0]), usage(ids[1], [0, 0, 2, 99])];
        assert_eq!(read.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_stream_of_another_account_is_not_taken_for_the_servers_own_of_its_name() {
        let text = r#"
baikonur_stream_shards{stream="111111111111/eu-west-1/router"} 2
baikonur_stream_shards{stream="router"} 2
baikonur_stream_records_in_total{stream="router",shard="shardId-000000000003"} 50
baikonur_stream_records_in_total{stream="111111111111/eu-west-1/router",shard="shardId-000000000000"} 7
"#;
        let stream = StreamName::new("router").unwrap();
        let records = |account: &str, region: &str| {
            let arn = format!("arn:aws:kinesis:{region}:{account}:stream/router");
            let read = read_page(text, &label(text, &stream, &arn));
            read.into_values()
                .map(|usage| (usage.shard.index(), usage.records_in))
                .collect::<Vec<_>>()
        };
        assert_eq!(records("111111111111", "eu-west-1"), [(0, 7)]);
        assert_eq!(records("000000000000", "us-east-1"), [(3, 50)]);
    }
}
