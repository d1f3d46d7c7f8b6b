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

    /// What went through the shards of a stream; shards without any are missing.
    pub(crate) async fn read(
        &self,
        stream: &StreamName,
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
        Ok(read_page(&text, stream))
    }
}

/// Lines such as `baikonur_stream_records_in_total{stream="s",shard="shardId-000000000000"} 5`.
fn read_page(text: &str, stream: &StreamName) -> BTreeMap<ShardId, ShardUsage> {
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
        if label("stream") != Some(stream.to_string().as_str()) {
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
        let read = read_page(text, &StreamName::new("router").unwrap());
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
}
