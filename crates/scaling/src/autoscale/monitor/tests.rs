//! A monitor over a simulated service and clock: hours in no time.

use std::sync::Mutex;

use super::*;
use crate::autoscale::{PercentRule, UsageMetrics, read};
use crate::simulated::{PausedClock, Service};
use baikonur_stream::ShardUsage;

/// Topics, subjects and messages.
#[derive(Default)]
struct Told(Mutex<Vec<(String, String, String)>>);

#[async_trait]
impl Notify for Told {
    async fn notify(&self, topic: &str, subject: &str, message: &str) -> Result<(), String> {
        let told = (topic.to_owned(), subject.to_owned(), message.to_owned());
        self.0.lock().unwrap().push(told);
        Ok(())
    }
}

struct Stage {
    service: Arc<Service>,
    told: Arc<Told>,
    monitor: Monitor,
}

fn stage(config: &str) -> Stage {
    let service = Arc::new(Service::new(2));
    let clock: Arc<PausedClock> = Arc::new(PausedClock::new());
    let told = Arc::new(Told::default());
    let [config] = read(config, PercentRule::Plain).unwrap().try_into().unwrap();
    let monitor = Monitor {
        config,
        administer: service.clone(),
        metrics: Arc::new(UsageMetrics::new(service.clone(), clock.clone())),
        notify: Some(told.clone()),
        cool_offs: Arc::new(CoolOffs::in_memory()),
        clock,
    };
    Stage { service, told, monitor }
}

const CONFIG: &str = r#"[{"streamName": "router", "scaleOnOperation": ["PUT"], "minShards": 2, "maxShards": 5,
    "scaleUp": {"scaleThresholdPct": 70, "scaleAfterMins": 5, "scalePct": 100, "coolOffMins": 15, "notificationARN": "up"},
    "scaleDown": {"scaleThresholdPct": 25, "scaleAfterMins": 20, "scaleCount": 1, "coolOffMins": 30}}]"#;

impl Stage {
    /// A minute in which so many records a second came, and the check after it.
    async fn minute(&self, records_per_second: u64) -> Check {
        tokio::time::advance(Duration::from_secs(60)).await;
        let open = self.service.key_space();
        {
            let mut state = self.service.state.lock().unwrap();
            for shard in open.shards() {
                let none = ShardUsage {
                    shard: shard.id,
                    records_in: 0,
                    bytes_in: 0,
                    records_out: 0,
                    bytes_out: 0,
                };
                let usage = state.usage.entry(shard.id).or_insert(none);
                usage.records_in += 60 * records_per_second / u64::from(open.count());
            }
        }
        self.monitor.check().await.unwrap()
    }

    /// The minutes, counted from 1, after which it was scaled, and to how many shards.
    async fn scaled(&self, minutes: u32, records_per_second: u64) -> Vec<(u32, u32)> {
        let mut scaled = Vec::new();
        for minute in 1..=minutes {
            if let Check::Scaled(report) = self.minute(records_per_second).await {
                assert_eq!(report.status, EndStatus::Ok, "{report:?}");
                scaled.push((minute, report.layout.count()));
            }
        }
        scaled
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_follows_its_load_by_thresholds_bounds_and_cool_off() {
    let stage = stage(CONFIG);
    assert_eq!(stage.minute(0).await, Check::Fits);
    // 1900 of 2000 records a second.
    assert_eq!(stage.scaled(6, 1900).await, [(5, 4)]);
    // 3500 of 4000: high again at once, and it rests for the fifteen minutes since.
    assert!(stage.scaled(12, 3500).await.is_empty());
    assert!(matches!(stage.minute(3500).await, Check::Rests(rest) if rest.as_secs() <= 60));
    assert_eq!(stage.scaled(1, 3500).await, [(1, 5)], "the maximum cuts 8 to 5");
    for _ in 0..20 {
        stage.minute(4900).await;
    }
    assert_eq!(stage.minute(4900).await, Check::Bounded(EndStatus::AlreadyAtMaximum));
    // Idle: after twenty low minutes one shard less each half hour, down to the minimum.
    assert_eq!(stage.scaled(120, 0).await, [(20, 4), (50, 3), (80, 2)]);
    assert_eq!(stage.minute(0).await, Check::Bounded(EndStatus::AlreadyAtMinimum));
}

#[tokio::test(start_paused = true)]
async fn the_topic_of_the_direction_is_told_with_report_and_reasons() {
    let stage = stage(CONFIG);
    stage.minute(0).await;
    stage.scaled(5, 1900).await;
    let told = stage.told.0.lock().unwrap().clone();
    let [(topic, subject, message)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((topic.as_str(), subject.as_str()), ("up", "Kinesis Autoscaling - Scale Up"));
    let message: serde_json::Value = serde_json::from_str(message).unwrap();
    assert_eq!((&message["endStatus"], &message["shards"]), (&"Ok".into(), &4.into()));
    let judgement = &message["judgements"][0];
    assert_eq!((&judgement["operation"], &judgement["averagePct"]), (&"PUT".into(), &95.into()));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_watched_is_not_idle() {
    let stage = stage(CONFIG);
    for _ in 0..20 {
        assert_eq!(stage.minute(0).await, Check::Fits);
    }
    assert!(matches!(stage.minute(0).await, Check::Bounded(_)), "twenty minutes were watched");
}

#[tokio::test(start_paused = true)]
async fn streams_that_change_or_are_on_demand_are_left_alone() {
    let stage = stage(CONFIG);
    stage.service.state.lock().unwrap().looks_left = 1;
    assert_eq!(stage.minute(0).await, Check::Busy);
    stage.service.state.lock().unwrap().mode = StreamMode::OnDemand;
    let refused = stage.monitor.check().await.unwrap_err();
    assert!(refused.to_string().contains("on-demand"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn it_looks_at_its_interval_until_it_is_told_to_stop() {
    let Stage { service, monitor, .. } = stage(CONFIG);
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(monitor.run(stopping));
    for second in 1..=600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let key_space = service.key_space();
        let mut state = service.state.lock().unwrap();
        for shard in key_space.shards() {
            let (shard, records_in) = (shard.id, second * 950);
            let usage = ShardUsage { shard, records_in, bytes_in: 0, records_out: 0, bytes_out: 0 };
            state.usage.insert(shard, usage);
        }
    }
    assert_eq!(service.open(), 4);
    stop.send_replace(true);
    running.await.unwrap();
}
