//! What an operator looks at: `/health` and `/metrics`.

use std::fmt::Write;

use baikonur_api::{Page, Pages};
use baikonur_engine::{Engine, Health, ShardCounters};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::watch;

/// The pages of a running pipeline.
pub(super) struct OperatorPages {
    /// None where there are no embedded streams.
    engine: Option<Engine>,
    metrics: PrometheusHandle,
    draining: watch::Receiver<bool>,
}

/// The content type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

impl OperatorPages {
    pub(super) fn new(
        engine: Option<Engine>,
        metrics: PrometheusHandle,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { engine, metrics, draining }
    }

    /// 200 while records are taken, 503 otherwise; damage alone is told, and does not close the door.
    fn health(&self) -> Page {
        let health = self.engine.as_ref().map(Engine::health);
        let well = Health { writes_closed: None, damaged: Vec::new() };
        let Health { writes_closed, damaged } = health.unwrap_or(well);
        let (status, word) = match (&writes_closed, *self.draining.borrow()) {
            (Some(_), _) => (503, "writes_closed"),
            (None, true) => (503, "draining"),
            (None, false) if !damaged.is_empty() => (200, "damaged"),
            (None, false) => (200, "ok"),
        };
        let body = json!({ "status": word, "writes_closed": writes_closed, "damaged": damaged });
        Page { status, content_type: JSON, body: format!("{body}\n").into() }
    }
}

impl Pages for OperatorPages {
    fn get(&self, path: &str) -> Option<Page> {
        match path {
            "/health" => Some(self.health()),
            "/metrics" => {
                let mut text = self.metrics.render();
                if let Some(engine) = &self.engine {
                    write_counters(&mut text, &engine.counters());
                }
                Some(Page { status: 200, content_type: PROMETHEUS_TEXT, body: text.into() })
            }
            _ => None,
        }
    }
}

/// How a metric of a shard is called, and its value.
type ShardMetric = (&'static str, fn(&ShardCounters) -> u64);

const SHARD_METRICS: [ShardMetric; 5] = [
    ("baikonur_stream_records_in_total", |shard| shard.usage.records_in),
    ("baikonur_stream_bytes_in_total", |shard| shard.usage.bytes_in),
    ("baikonur_stream_records_out_total", |shard| shard.usage.records_out),
    ("baikonur_stream_bytes_out_total", |shard| shard.usage.bytes_out),
    ("baikonur_stream_trimmed_records_total", |shard| shard.trimmed),
];

fn is_used(ShardCounters { usage, trimmed, .. }: &ShardCounters) -> bool {
    usage.records_in + usage.records_out + trimmed > 0
}

/// Writes the counters of shards, sorted by stream and shard; those that were never used are left out.
fn write_counters(text: &mut String, shards: &[ShardCounters]) {
    const SHARDS: &str = "baikonur_stream_shards";
    let mut line = |of: std::fmt::Arguments<'_>| {
        text.write_fmt(of).expect("a string takes all that is written");
    };
    if !shards.is_empty() {
        line(format_args!("# TYPE {SHARDS} gauge\n"));
    }
    for of_stream in shards.chunk_by(|one, other| one.stream == other.stream) {
        let stream = of_stream[0].stream.qualified();
        line(format_args!("{SHARDS}{{stream=\"{stream}\"}} {}\n", of_stream.len()));
    }
    let used = || shards.iter().filter(|shard| is_used(shard));
    for (name, value) in SHARD_METRICS {
        if used().next().is_some() {
            line(format_args!("# TYPE {name} counter\n"));
        }
        for shard in used() {
            let (stream, id) = (shard.stream.qualified(), shard.usage.shard);
            line(format_args!("{name}{{stream=\"{stream}\",shard=\"{id}\"}} {}\n", value(shard)));
        }
    }
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{ShardId, ShardUsage, StreamName};

    use super::*;

    #[test]
    fn shards_that_were_used_have_counters_and_streams_of_other_owners_their_whole_name() {
        let shard = |stream: &str, id: u32, records_in: u64| ShardCounters {
            stream: stream.parse::<StreamName>().unwrap(),
            usage: ShardUsage {
                shard: ShardId::new(id),
                records_in,
                bytes_in: 10 * records_in,
                records_out: 0,
                bytes_out: 0,
            },
            trimmed: 0,
        };
        let other = "111111111111/eu-west-1/s";
        let shards = [shard(other, 0, 3), shard("s", 0, 0), shard("s", 1, 7)];
        let mut text = String::new();
        write_counters(&mut text, &shards);
        for line in [
            "baikonur_stream_shards{stream=\"111111111111/eu-west-1/s\"} 1",
            "baikonur_stream_shards{stream=\"s\"} 2",
            "# TYPE baikonur_stream_bytes_in_total counter",
            "baikonur_stream_bytes_in_total{stream=\"111111111111/eu-west-1/s\",shard=\"shardId-000000000000\"} 30",
            "baikonur_stream_records_in_total{stream=\"s\",shard=\"shardId-000000000001\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("stream=\"s\",shard=\"shardId-000000000000\""), "{text}");
        assert_eq!(text.lines().count(), 3 + 5 * 3);
        text.clear();
        write_counters(&mut text, &[]);
        assert!(text.is_empty());
    }
}
