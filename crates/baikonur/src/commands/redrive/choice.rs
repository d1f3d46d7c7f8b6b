//! Which records are meant.

use std::collections::BTreeSet;

use anyhow::bail;
use baikonur_modules::failed_store::{Found, Mark, folder_name, key_folders};
use baikonur_modules::intake::{Intake, IntakeSettings, UNDECODABLE};
use baikonur_record::Whitelist;
use baikonur_stream::{
    Batch, ConsumerName, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId, StreamName,
    Timestamp,
};

use crate::commands::moment::moment;

/// The flags that choose.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Choice {
    /// Only what these modules gave up (may be repeated, or have commas).
    #[arg(long, value_name = "MODULE", value_delimiter = ',')]
    module: Vec<String>,
    /// Only what failed for these reasons, such as not_json or retry_attempts_exhausted.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    /// Only records of these log types: names, `prefix*`, or `!name` to leave out.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    log_type: Vec<String>,
    /// Only records that were in these streams.
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    stream: Vec<StreamName>,
    /// Only records that were in these shards.
    #[arg(long, value_name = "SHARD", value_delimiter = ',')]
    shard: Vec<ShardId>,
    /// Only records that arrived then or later: a time such as 2026-11-24T09:00:00Z, or how long ago (30m, 2h, 7d).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only records that arrived before then.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The field with the log type: a key, a dotted path or a JSON pointer.
    #[arg(long, value_name = "FIELD", default_value = "log_type")]
    log_type_field: String,
    /// What to do with records of a call that an earlier redrive did not see the answer of, because it was killed: they
    /// may be in the stream.
    #[arg(long, value_enum, default_value_t = InDoubt::Again, value_name = "HOW")]
    in_doubt: InDoubt,
}

/// What to do with records that may have been replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum InDoubt {
    /// Replay them: none is lost, some may be there twice.
    Again,
    /// Leave them: none is there twice, some may be lost.
    Leave,
}

/// What is in an object's mark about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is to be replayed.
    Waiting,
    /// It is to be replayed, and may have been.
    Doubtful,
    /// It may have been replayed, and is left.
    Left,
    /// It was replayed.
    Done,
}

/// Event types of one record that are told apart.
const TYPES_MAX: usize = 16;

impl Choice {
    /// Where the user named no modules, this one is meant.
    pub(super) fn prefer_module(&mut self, module: Option<&str>) {
        if self.module.is_empty() {
            self.module.extend(module.map(str::to_owned));
        }
    }

    /// Checks what needs to be checked.
    ///
    /// # Errors
    /// A time or a field that is none.
    pub(super) fn prepare(self, now: Timestamp) -> anyhow::Result<Prepared> {
        let time = |text: &Option<String>, flag: &str| match text {
            None => Ok(None),
            Some(text) => {
                moment(text, now).map(Some).map_err(|error| anyhow::anyhow!("{flag}: {error}"))
            }
        };
        let (since, until) = (time(&self.since, "--since")?, time(&self.until, "--until")?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            bail!("--since is not before --until: no record can be meant");
        }
        let settings = IntakeSettings {
            log_type_field: self.log_type_field.clone(),
            ..IntakeSettings::default()
        };
        let intake = Intake::new(&settings, &ConsumerName::new("redrive"))?;
        let folders = |names: &[String]| names.iter().map(|name| folder_name(name)).collect();
        Ok(Prepared {
            reason_folders: folders(&self.reason),
            module_folders: folders(&self.module),
            types: Whitelist::parse(&self.log_type),
            since,
            until,
            intake,
            choice: self,
        })
    }
}

/// Ready to choose.
pub(super) struct Prepared {
    choice: Choice,
    reason_folders: BTreeSet<String>,
    module_folders: BTreeSet<String>,
    types: Whitelist,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    intake: Intake,
}

impl Prepared {
    /// Whether it was said which modules are meant.
    pub(super) fn names_modules(&self) -> bool {
        !self.choice.module.is_empty()
    }

    /// Whether an object may have records that are meant, as far as its key tells.
    pub(super) fn may_hold(&self, key: &str) -> bool {
        let Some((reason, module)) = key_folders(key) else { return true };
        let meant =
            |folders: &BTreeSet<String>, folder| folders.is_empty() || folders.contains(folder);
        meant(&self.reason_folders, reason) && meant(&self.module_folders, module)
    }

    /// The log type of a record that is meant, `-` if it has none; none for the others.
    pub(super) fn chosen_type(&self, found: &Found) -> Option<String> {
        let Choice { module, reason, log_type, stream, shard, .. } = &self.choice;
        let meant = |names: &[String], name| names.is_empty() || names.contains(name);
        let in_time = self.since.is_none_or(|since| found.arrival >= since)
            && self.until.is_none_or(|until| found.arrival < until);
        if !in_time || !meant(module, &found.module) || !meant(reason, &found.reason) {
            return None;
        }
        let in_stream = stream.is_empty() || stream.iter().any(|s| s.as_str() == found.stream);
        let in_shard = shard.is_empty() || shard.iter().any(|s| s.to_string() == found.shard);
        if !in_stream || !in_shard {
            return None;
        }
        let types = self.types(found);
        if !log_type.is_empty() && !types.iter().any(|name| self.types.admits(name)) {
            return None;
        }
        Some(match &*types.into_iter().collect::<Vec<_>>() {
            [] => "-".to_owned(),
            [one] => one.clone(),
            _ => "several".to_owned(),
        })
    }

    /// What its object's mark says of a record.
    pub(super) fn state(&self, mark: &Mark, place: u64) -> State {
        if mark.replayed.contains(place) {
            return State::Done;
        }
        match (mark.in_doubt.contains(place), self.choice.in_doubt) {
            (false, _) => State::Waiting,
            (true, InDoubt::Again) => State::Doubtful,
            (true, InDoubt::Leave) => State::Left,
        }
    }

    /// The declared log types of the events in a record.
    fn types(&self, found: &Found) -> BTreeSet<String> {
        let mut types = BTreeSet::new();
        if UNDECODABLE.contains(&&*found.reason) {
            return types;
        }
        for part in self.intake.parts(&as_batch(found)) {
            for taken in part.events {
                if let Some(name) = taken.event.log_type.declared()
                    && types.len() < TYPES_MAX
                    && !types.contains(name)
                {
                    types.insert(name.to_owned());
                }
            }
        }
        types
    }
}

/// A record as intake takes it; what intake does not look at stands in for what the record may lack.
fn as_batch(found: &Found) -> Batch {
    let seconds = found.arrival.seconds();
    let record = Record {
        sequence_number: SequenceNumber::new(seconds, 0, found.place, seconds),
        arrival: found.arrival,
        partition_key: PartitionKey::ABSENT,
        data: found.data.clone(),
    };
    let stream = StreamName::new("redrive").expect("a legal name");
    let shard = ShardAddress { stream, shard: ShardId::new(0) };
    Batch { shard, records: vec![record], attempt: 0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        choice: Choice,
    }

    const NOW: Timestamp = Timestamp::from_seconds(1_764_000_000);

    fn prepared(flags: &[&str]) -> anyhow::Result<Prepared> {
        let flags = Flags::try_parse_from(["redrive"].iter().chain(flags))?;
        flags.choice.prepare(NOW)
    }

    fn found(data: &'static str) -> Found {
        Found {
            place: 0,
            module: "to es".to_owned(),
            reason: "refused_by_elasticsearch".to_owned(),
            detail: String::new(),
            stream: "router".to_owned(),
            shard: "shardId-000000000003".to_owned(),
            sequence_number: "1".to_owned(),
            sub_sequence: 0,
            event_index: 0,
            arrival: NOW.minus(Duration::from_secs(3600)),
            partition_key: Bytes::from_static(b"k"),
            data: Bytes::from_static(data.as_bytes()),
        }
    }

    #[test]
    fn each_flag_chooses() {
        let auth = found(r#"{"log_type":"auth"}"#);
        for (flags, meant) in [
            (&[][..], true),
            (&["--module", "x,to es"], true),
            (&["--module", "archive"], false),
            (&["--reason", "refused_by_elasticsearch"], true),
            (&["--reason", "not_json"], false),
            (&["--type", "auth"], true),
            (&["--type", "au*"], true),
            (&["--type", "!auth"], false),
            (&["--type", "access"], false),
            (&["--stream", "router", "--shard", "3"], true),
            (&["--stream", "other"], false),
            (&["--shard", "shardId-000000000004"], false),
            (&["--since", "2h"], true),
            (&["--since", "30m"], false),
            (&["--until", "30m"], true),
            (&["--until", "2h"], false),
            (&["--since", "2025-11-24T14:59:59Z", "--until", "2025-11-24T15:00:01Z"], true),
        ] {
            let chosen = prepared(flags).unwrap().chosen_type(&auth);
            assert_eq!(chosen.is_some(), meant, "{flags:?}");
        }
        let type_of = |data| prepared(&[]).unwrap().chosen_type(&found(data)).unwrap();
        assert_eq!(type_of(r#"{"log_type":"auth"}"#), "auth");
        assert_eq!(type_of("no json"), "-");
        let elsewhere = prepared(&["--log-type-field", "meta.type"]).unwrap();
        let nested = found(r#"{"meta":{"type":"access"}}"#);
        assert_eq!(elsewhere.chosen_type(&nested).unwrap(), "access");
    }

    #[test]
    fn keys_of_other_modules_and_reasons_need_not_be_read() {
        let prepared = prepared(&["--module", "to es", "--reason", "not_json"]).unwrap();
        for (key, may_hold) in [
            ("unknown/not_json/to%20es/2020-09/13/x.gz", true),
            ("not_json/to%20es/2020-09/13/x.gz", true),
            ("unknown/not_json/to/2020-09/13/x.gz", false),
            ("empty/to%20es/2020-09/13/x.gz", false),
            ("aws/lambda/x/y/2020/09/13/x", true),
        ] {
            assert_eq!(prepared.may_hold(key), may_hold, "{key}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (flags, told) in [
            (&["--since", "yesterdayish"][..], "--since"),
            (&["--until", "5x"], "--until"),
            (&["--since", "1h", "--until", "2h"], "not before"),
            (&["--log-type-field", ""], "log_type_field"),
        ] {
            let error = format!("{:#}", prepared(flags).err().unwrap());
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn doubtful_records_are_replayed_or_left() {
        let mut mark = Mark::new("x");
        mark.replayed.insert(1);
        mark.in_doubt.insert(2);
        let states = |flags: &[&str]| {
            let prepared = prepared(flags).unwrap();
            [0, 1, 2].map(|place| prepared.state(&mark, place))
        };
        assert_eq!(states(&[]), [State::Waiting, State::Done, State::Doubtful]);
        let left = states(&["--in-doubt", "leave"]);
        assert_eq!(left, [State::Waiting, State::Done, State::Left]);
    }
}
