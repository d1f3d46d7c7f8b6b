//! `baikonur explain`: what becomes of records, worked out by the code that would do it.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use baikonur_modules::forward::Routes;
use baikonur_modules::intake::{Intake, IntakeSettings, Taken, TakenEvent, UNDECODABLE};
use baikonur_modules::objects::layout::{Layout, Source};
use baikonur_modules::to_fluent::TagTemplate;
use baikonur_modules::{to_es, to_s3};
use baikonur_stream::{
    Batch, Clock, ConsumerName, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId,
    StreamName, SystemClock, Timestamp,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::lines::{Line, Lines};
use crate::config::{Config, Kind, Overrides};
use crate::host;

/// Say what becomes of records: their events, and the keys, indices and tags that they would get, or why they are
/// rejected.
///
/// Reads records, one a line. Each is decoded as a module would: de-aggregated, decompressed, taken out of CloudWatch
/// Logs envelopes, its log type, id and time found. With --config every module of the file says what it would do with
/// it. Nothing is sent. The exit status is 0 also when records are rejected.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The records; the standard input when no file is named.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Answer in JSON, an object for each record (and module).
    #[arg(long)]
    json: bool,
    /// Each line is the base64 of a record, as `aws kinesis get-records` prints it.
    #[arg(long)]
    base64: bool,
    /// Explain by the modules of this configuration.
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Without --config: what index names begin with.
    #[arg(long, default_value = "logs", value_name = "PREFIX")]
    index_name_prefix: String,
    /// Without --config: what tags end in.
    #[arg(long, default_value = "baikonur", value_name = "TAG")]
    fluent_tag: String,
}

/// The largest record that Kinesis takes, 10 MiB, in base64 and with a little room.
const LINE_BYTES_MAX: usize = 14 << 20;

/// The eyes of one module, or of all kinds at once when there is no configuration.
struct View {
    module: Option<(ConsumerName, &'static str)>,
    intake: Intake,
    destinations: Vec<Destination>,
}

/// One thing to say about an event.
enum Destination {
    Streams(Routes),
    Key(String, Layout),
    Index { settings: Box<to_es::Settings>, with_id: bool },
    Tag(TagTemplate),
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let views = self.views()?;
        let shown = self.file.display();
        let mut lines = Lines::open(&self.file, LINE_BYTES_MAX, |input| input)
            .with_context(|| format!("cannot read {shown}"))?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let arrival = SystemClock::new().now();
        let mut number = 0;
        while let Some(line) = lines.next().with_context(|| format!("cannot read {shown}"))? {
            number += 1;
            let record = match self.record(line) {
                Ok(data) => batch(number, arrival, data),
                Err(why) => {
                    self.tell_unreadable(&mut out, number, &why)?;
                    continue;
                }
            };
            for view in &views {
                let taken = view.intake.take(&record);
                if self.json {
                    writeln!(out, "{}", view.in_json(number, &record, &taken))?;
                } else {
                    view.in_words(&mut out, number, &record, &taken)?;
                }
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn views(&self) -> anyhow::Result<Vec<View>> {
        let Some(file) = &self.config else {
            let intake = Intake::new(&IntakeSettings::default(), &ConsumerName::new("explain"))?;
            let index_name_prefix = self.index_name_prefix.clone();
            let settings =
                Box::new(to_es::Settings { index_name_prefix, ..to_es::Settings::default() });
            let destinations = vec![
                Destination::Key(String::new(), to_s3::Settings::default().layout()?),
                Destination::Index { settings, with_id: false },
                Destination::Tag(TagTemplate::ending_in(&self.fluent_tag)),
            ];
            return Ok(vec![View { module: None, intake, destinations }]);
        };
        let config = Config::load(file, &Overrides::of_environment())?;
        let views = config.modules.into_iter().map(|module| {
            let intake = Intake::on_host(&host::name(), &module.intake, &module.name)?;
            let kind = module.kind.name();
            let destination = match module.kind {
                Kind::Forward(settings) => {
                    Destination::Streams(Routes::new(&settings, &module.intake)?)
                }
                Kind::ToS3(settings) => {
                    Destination::Key(format!("{}/", settings.location()?), settings.layout()?)
                }
                Kind::ToElasticsearch(settings) => Destination::Index { settings, with_id: true },
                Kind::ToFluent(settings) => Destination::Tag(settings.tag_template()?),
            };
            let module = Some((module.name, kind));
            Ok(View { module, intake, destinations: vec![destination] })
        });
        views.collect()
    }

    /// The bytes of a record.
    fn record(&self, line: Line) -> Result<Bytes, String> {
        match line {
            Line::TooLong(length) => Err(format!("{length} bytes, more than a record may have")),
            Line::Bytes(bytes) if self.base64 => {
                let decoded = base64_simd::STANDARD.decode_to_vec(bytes.trim_ascii());
                decoded.map(Bytes::from).map_err(|_| "the line is no base64".to_owned())
            }
            Line::Bytes(bytes) => Ok(bytes),
        }
    }

    fn tell_unreadable(&self, out: &mut impl Write, number: u64, why: &str) -> std::io::Result<()> {
        if self.json {
            return writeln!(out, "{}", json!({ "record": number, "error": why }));
        }
        writeln!(out, "record {number}: cannot be read: {why}")
    }
}

/// A record as it would come from a stream.
fn batch(number: u64, arrival: Timestamp, data: Bytes) -> Batch {
    let stream = StreamName::new("explain").expect("a legal name");
    let record = Record {
        sequence_number: SequenceNumber::new(arrival.seconds(), 0, number, arrival.seconds()),
        arrival,
        partition_key: PartitionKey::new(Bytes::from_static(b"explain")).expect("a legal key"),
        data,
    };
    Batch {
        shard: ShardAddress { stream, shard: ShardId::new(0) },
        records: vec![record],
        attempt: 0,
    }
}

impl View {
    fn in_json(&self, number: u64, batch: &Batch, taken: &Taken) -> Value {
        let mut told = Map::new();
        told.insert("record".to_owned(), json!(number));
        if let Some((module, kind)) = &self.module {
            told.insert("module".to_owned(), json!(module.as_str()));
            told.insert("type".to_owned(), json!(kind));
        }
        let events: Vec<_> = taken
            .events
            .iter()
            .map(|event| Value::Object(self.facts(batch, event).into_iter().map(owned).collect()))
            .collect();
        told.insert("events".to_owned(), json!(events));
        told.insert("filtered".to_owned(), json!(taken.filtered));
        let rejected: Vec<_> = taken
            .rejected
            .iter()
            .map(|rejected| {
                json!({
                    "reason": rejected.reason,
                    "detail": rejected.detail,
                    "sub_sequence": rejected.sub_sequence,
                    "event_index": rejected.event_index,
                })
            })
            .collect();
        told.insert("rejected".to_owned(), json!(rejected));
        Value::Object(told)
    }

    fn in_words(
        &self,
        out: &mut impl Write,
        number: u64,
        batch: &Batch,
        taken: &Taken,
    ) -> std::io::Result<()> {
        let who = match &self.module {
            Some((module, kind)) => format!(", {module} ({kind})"),
            None => String::new(),
        };
        let mut parts = Vec::new();
        for (count, noun) in [
            (taken.events.len(), "taken"),
            (
                usize::try_from(taken.filtered).unwrap_or(usize::MAX),
                "left out by the whitelist or a filter",
            ),
            (taken.rejected.len(), "rejected"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {noun}"));
            }
        }
        if parts.is_empty() {
            parts.push(
                "nothing in it (a CloudWatch Logs control message, or an empty aggregate)"
                    .to_owned(),
            );
        }
        writeln!(out, "record {number}{who}: {}", parts.join(", "))?;
        for event in &taken.events {
            for (place, (name, value)) in self.facts(batch, event).into_iter().enumerate() {
                let mark = if place == 0 { '-' } else { ' ' };
                writeln!(out, "  {mark} {name:8} {value}")?;
            }
        }
        for rejected in &taken.rejected {
            writeln!(out, "  - {}: {}", rejected.reason, rejected.detail)?;
            let prefix = if UNDECODABLE.contains(&&*rejected.reason) { "unknown/" } else { "" };
            writeln!(out, "    failed store: {prefix}{}/…", rejected.reason)?;
        }
        Ok(())
    }

    /// What there is to say about an event, by name.
    fn facts(&self, batch: &Batch, taken: &TakenEvent) -> Vec<(&'static str, String)> {
        let event = &taken.event;
        let mut facts = vec![
            ("log_type", event.log_type.name().into_owned()),
            ("log_id", event.log_id.as_str().to_owned()),
            ("time", event.time.rfc3339()),
        ];
        if taken.original.is_some() {
            let text = event.to_one_line();
            facts.push(("event", String::from_utf8_lossy(&text).into_owned()));
        }
        for destination in &self.destinations {
            match destination {
                Destination::Streams(routes) => {
                    let shard_id = batch.shard.shard.to_string();
                    let streams = routes.of(&shard_id, taken).into_iter().map(StreamName::as_str);
                    let streams = streams.collect::<Vec<_>>().join(", ");
                    let none = || "none: no rule of a target takes it".to_owned();
                    facts.push(("stream", if streams.is_empty() { none() } else { streams }));
                }
                Destination::Key(before, layout) => {
                    let shard = batch.shard.shard.to_string();
                    let source = Source { stream: batch.shard.stream.as_str(), shard: &shard };
                    let key = layout.shown_key(event, source);
                    facts.push(("key", format!("{before}{key}")));
                }
                Destination::Index { settings, with_id } => {
                    facts.push(("index", to_es::index_name(settings, event)));
                    let id = to_es::document_id(settings.document_id, &batch.shard, taken);
                    facts.extend(id.filter(|_| *with_id).map(|id| ("id", id)));
                }
                Destination::Tag(tag) => facts.push(("tag", tag.tag(&batch.shard, event))),
            }
        }
        facts
    }
}

fn owned((name, value): (&'static str, String)) -> (String, Value) {
    (name.to_owned(), Value::String(value))
}
