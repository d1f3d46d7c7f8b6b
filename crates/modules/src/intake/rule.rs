//! Rules: what each of several destinations of one module takes of what the module takes.

use baikonur_pattern::{Data, FilterCriteria, Metadata};
use baikonur_record::{Schema, Whitelist};

use super::{IntakeSettings, IntakeSettingsError, TakenPayload};

/// What one destination takes: its log types, then its filter criteria.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// None takes all.
    whitelist: Option<Whitelist>,
    criteria: FilterCriteria,
}

impl Rule {
    pub(crate) fn new(log_types: &[String], criteria: FilterCriteria) -> Self {
        let whitelist = (!log_types.is_empty()).then(|| Whitelist::parse(log_types));
        Self { whitelist, criteria }
    }
}

/// The rules of all destinations, in their order.
pub(crate) struct Rules {
    rules: Vec<Rule>,
    first_only: bool,
    /// Whether there is one destination, and it takes everything.
    is_one_for_all: bool,
    /// Whether log types are to be looked for at all.
    by_log_type: bool,
    schema: Schema,
    unknown_type: String,
}

impl Rules {
    /// `rules` on events whose fields stand where `settings` say. With `first_only` an event is for the first
    /// destination alone whose rule takes it.
    ///
    /// # Errors
    /// The first setting that means nothing.
    pub(crate) fn new(
        settings: &IntakeSettings,
        rules: Vec<Rule>,
        first_only: bool,
    ) -> Result<Self, IntakeSettingsError> {
        let takes_all = |rule: &Rule| rule.whitelist.is_none() && rule.criteria.is_empty();
        Ok(Self {
            is_one_for_all: rules.len() == 1 && rules.iter().all(takes_all),
            by_log_type: rules.iter().any(|rule| rule.whitelist.is_some()),
            rules,
            first_only,
            schema: settings.schema()?,
            unknown_type: format!("{}/unknown_type", settings.log_type_unknown_prefix),
        })
    }

    /// Whether there is one destination, and it takes everything.
    pub(crate) fn is_one_for_all(&self) -> bool {
        self.is_one_for_all
    }

    /// The places of the destinations that `taken`, of the shard `shard_id`, is for.
    pub(crate) fn takers(&self, shard_id: &str, taken: &TakenPayload) -> Vec<usize> {
        let log_type =
            self.by_log_type.then(|| self.schema.log_type(&taken.payload).ok()).flatten();
        let log_type = log_type.as_ref().and_then(|log_type| log_type.declared());
        let log_type = log_type.unwrap_or(&self.unknown_type);
        let takes = |rule: &Rule| {
            rule.whitelist.as_ref().is_none_or(|whitelist| whitelist.admits(log_type))
                && (rule.criteria.is_empty() || matches(&rule.criteria, shard_id, taken))
        };
        let takers = self.rules.iter().enumerate().filter(|(_, rule)| takes(rule));
        let most = if self.first_only { 1 } else { usize::MAX };
        takers.map(|(place, _)| place).take(most).collect()
    }
}

fn matches(criteria: &FilterCriteria, shard_id: &str, taken: &TakenPayload) -> bool {
    let own_key = taken.payload.partition_key.as_deref();
    let metadata = Metadata {
        partition_key: own_key.unwrap_or(taken.record_key.bytes()),
        sequence_number: &taken.sequence_number,
        shard_id,
        arrival_millis: taken.arrival.millis(),
    };
    criteria.matches(&metadata, Data::Json(&taken.payload.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::{batch, intake};

    fn takers(first_only: bool, text: &str) -> Vec<usize> {
        let criteria = |pattern: &str| FilterCriteria::parse([pattern]).unwrap();
        let rules = vec![
            Rule::new(&["auth*".to_owned()], FilterCriteria::default()),
            Rule::new(&[], criteria(r#"{"data": {"level": ["error"]}}"#)),
            Rule::new(&["!auth".to_owned()], criteria(r#"{"partitionKey": ["key"]}"#)),
            Rule::new(&[], criteria(r#"{"partitionKey": ["other"]}"#)),
            Rule::new(&[], FilterCriteria::default()),
        ];
        let rules = Rules::new(&IntakeSettings::default(), rules, first_only).unwrap();
        let (batch, intake) = (batch(&[text]), intake("test"));
        let taken = intake.payload_parts(&batch).flat_map(|part| part.events).next().unwrap();
        rules.takers("shardId-000000000003", &taken)
    }

    #[test]
    fn an_event_is_for_each_destination_whose_rule_takes_it_or_for_the_first() {
        for (text, all) in [
            (r#"{"log_type":"auth"}"#, &[0, 4][..]),
            (r#"{"log_type":"authz","level":"error"}"#, &[0, 1, 2, 4]),
            (r#"{"log_type":"web"}"#, &[2, 4]),
            (r#"{"no":"type"}"#, &[2, 4]),
        ] {
            assert_eq!(takers(false, text), all, "{text}");
            assert_eq!(takers(true, text), all[..1], "{text}");
        }
    }
}
