//! Which targets an event is for, for those who only want to know.

use baikonur_record::Payload;
use baikonur_stream::{PartitionKey, StreamName};

use super::ForwardError;
use super::settings::{Settings, TargetSettings};
use crate::intake::{IntakeSettings, Rules, TakenEvent, TakenPayload};

/// The targets of a module and their rules. Nothing is put anywhere.
pub struct Routes {
    rules: Rules,
    streams: Vec<StreamName>,
}

impl Routes {
    /// Those of `settings`, on events that are decoded as `decoding` says.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(settings: &Settings, decoding: &IntakeSettings) -> Result<Self, ForwardError> {
        let targets = settings.targets()?;
        let rules = targets.iter().map(TargetSettings::rule).collect();
        let rules = Rules::new(decoding, rules, settings.first_target_only)?;
        let streams = targets.into_iter().map(|target| target.target_stream_name);
        Ok(Self { rules, streams: streams.collect() })
    }

    /// The streams that an event of the shard `shard_id` goes into.
    pub fn of(&self, shard_id: &str, taken: &TakenEvent) -> Vec<&StreamName> {
        let TakenEvent { sequence_number, arrival, partition_key, event, original } = taken;
        let payload = TakenPayload {
            sequence_number: *sequence_number,
            arrival: *arrival,
            record_key: PartitionKey::ABSENT,
            original: original.clone(),
            payload: Payload {
                bytes: event.json.clone(),
                partition_key: Some(partition_key.clone()),
                explicit_hash_key: None,
                sub_sequence: event.sub_sequence,
                event_index: event.event_index,
            },
        };
        let takers = self.rules.takers(shard_id, &payload);
        takers.into_iter().map(|place| &self.streams[place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::taken;

    #[test]
    fn an_event_has_the_targets_that_delivery_would_put_it_into() {
        let text = r#"
            [[targets]]
            target_stream_name = "web"
            log_type_field_whitelist = ["web"]
            [[targets]]
            target_stream_name = "mine"
            filter_criteria = ['{"partitionKey": ["key"], "data": {"level": ["error"]}}']
        "#;
        let settings: Settings = toml::from_str(text).unwrap();
        let routes = Routes::new(&settings, &IntakeSettings::default()).unwrap();
        for (event, streams) in [
            (r#"{"log_type":"web","level":"error"}"#, &["web", "mine"][..]),
            (r#"{"log_type":"web"}"#, &["web"]),
            (r#"{"log_type":"db"}"#, &[]),
        ] {
            let taken = taken(0, event);
            let of: Vec<_> = routes
                .of("shardId-000000000003", &taken)
                .into_iter()
                .map(StreamName::as_str)
                .collect();
            assert_eq!(of, streams, "{event}");
        }
        assert!(Routes::new(&Settings::default(), &IntakeSettings::default()).is_err());
    }
}
