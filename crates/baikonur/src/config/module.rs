//! `[modules.NAME]`: a module, its event source mapping, its decoding and its failed store, side by side in one table.

use std::collections::BTreeMap;

use baikonur_assembly::Kind;
use baikonur_mapping as mapping;
use baikonur_modules::failed_store::on_failure::OnFailurePlace;
use baikonur_modules::intake::IntakeSettings;
use baikonur_modules::objects::{Location, S3Settings};
use baikonur_modules::settings::keys_of;
use baikonur_modules::{cluster, failed_store, forward, to_es};
use baikonur_stream::{ConsumerName, StreamName};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cleaner;
use super::document::Section;
use super::kinesis::{Consumption, ConsumptionKeys};
use super::mapping_keys::{BATCH_SIZE_MAX, MappingKeys};
use super::mistake::{Mistake, did_you_mean};

/// What `[modules.NAME]` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModuleConfig {
    pub(crate) name: ConsumerName,
    pub(crate) source: StreamName,
    pub(crate) enabled: bool,
    /// How the source is read where it is on Amazon Kinesis.
    pub(crate) consumption: Consumption,
    pub(crate) mapping: mapping::Settings,
    pub(crate) intake: IntakeSettings,
    pub(crate) kind: Kind,
    /// None: beside the streams' data.
    pub(crate) failed_store: Option<Location>,
    /// Who is told of batches that were given up.
    pub(crate) on_failure: Option<OnFailurePlace>,
    /// How `s3://` URLs of this module are reached.
    pub(crate) s3: S3Settings,
}

/// Names as the configuration spells them.
const KINDS: [&str; 5] = {
    let [forward, to_s3, to_es, to_fluent] = Kind::NAMES;
    [forward, to_s3, to_es, to_fluent, cleaner::KIND]
};

/// The longest name of a module: it becomes a part of file names and of keys in the store.
const NAME_BYTES_MAX: usize = 128;

/// `batch_size` where the file does not say it. Embedded targets wait for an fsync with each put and remember what they
/// have: large batches make good a backlog fast, and none of it is put twice. Elsewhere a batch that comes again is there
/// twice, so that it is no larger than it needs to be.
fn default_batch_size(kind: &Kind, on_kinesis: bool) -> usize {
    let is_embedded = |target: &forward::TargetSettings| target.elsewhere().is_none();
    match kind {
        Kind::Forward(settings) if !on_kinesis => match settings.targets() {
            Ok(targets) if targets.iter().all(is_embedded) => BATCH_SIZE_MAX,
            _ => mapping::Settings::default().batch_size,
        },
        _ => mapping::Settings::default().batch_size,
    }
}

#[derive(Debug, Deserialize)]
struct HeadKeys {
    #[serde(rename = "type")]
    kind: String,
    source: StreamName,
    #[serde(default = "enabled_by_default")]
    enabled: bool,
}

fn enabled_by_default() -> bool {
    true
}

pub(super) fn read(
    mut section: Section<'_>,
    streams: &[StreamName],
    on_kinesis: bool,
    mistakes: &mut Vec<Mistake>,
) -> Option<ModuleConfig> {
    let name = section.name().to_owned();
    check_name(&section, mistakes);
    let mut reader = Reader { section: &mut section, known: Vec::new(), mistakes };
    let head: Option<HeadKeys> = reader.take();
    let consumption: Option<ConsumptionKeys> = reader.take();
    let mapping: Option<MappingKeys> = reader.take();
    let intake: Option<IntakeSettings> = reader.take();
    let failed: Option<failed_store::Settings> = reader.take();
    let s3: Option<S3Settings> = reader.take();
    let kind = head.as_ref().and_then(|head| reader.kind(&head.kind));
    if let Some(head) = &head {
        // Without a type nobody can say which keys belong here.
        if KINDS.contains(&&*head.kind) {
            let known = reader.known;
            section.refuse_the_rest(&known, mistakes);
        }
        expect_stream(&section, "source", &head.source, streams, mistakes);
    }
    for target in kind.iter().flat_map(Kind::targets_here) {
        expect_stream(&section, "target_stream_name", &target, streams, mistakes);
    }
    let mut note = |problem: Option<String>| {
        if let Some(problem) = problem {
            mistakes.push(section.mistake(problem));
        }
    };
    let (head, consumption, mapping, intake) = (head?, consumption?, mapping?, intake?);
    let (failed, s3, kind) = (failed?, s3?, kind?);
    let mapping = match mapping.settings(default_batch_size(&kind, on_kinesis)) {
        Ok(settings) => Some(settings),
        Err(wrong) => {
            wrong.into_iter().for_each(|what| note(Some(what)));
            None
        }
    };
    let consumption = consumption.read(&name);
    note(consumption.as_ref().err().cloned());
    note(intake.schema().err().map(|error| error.to_string()));
    if mapping.as_ref().is_some_and(|settings| settings.parallelization_factor > 1) {
        note(kind.refuses_lanes().map(str::to_owned));
    }
    note(kind.check().err().map(|error| error.to_string()));
    note(s3.check().err().map(|error| error.to_string()));
    let failed_store = match failed.location() {
        Ok(location) => location,
        Err(error) => {
            note(Some(error.to_string()));
            None
        }
    };
    let on_failure = match failed.on_failure() {
        Ok(place) => place,
        Err(error) => {
            note(Some(error.to_string()));
            None
        }
    };
    Some(ModuleConfig {
        name: ConsumerName::new(&name),
        source: head.source,
        enabled: head.enabled,
        consumption: consumption.ok()?,
        mapping: mapping?,
        intake,
        kind,
        failed_store,
        on_failure,
        s3,
    })
}

/// Notes a name that no module can have.
pub(super) fn check_name(section: &Section<'_>, mistakes: &mut Vec<Mistake>) {
    let name = section.name();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        let what = format!(
            "{name:?} is no name of a module: 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9, '_', '.', '-'"
        );
        mistakes.push(section.mistake(what));
    }
}

/// Takes parts out of a section and remembers which keys there are.
struct Reader<'r, 't> {
    section: &'r mut Section<'t>,
    known: Vec<&'static str>,
    mistakes: &'r mut Vec<Mistake>,
}

impl Reader<'_, '_> {
    fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        let keys = keys_of::<T>();
        self.known.extend(keys);
        self.section.take(keys, self.mistakes)
    }

    fn kind(&mut self, name: &str) -> Option<Kind> {
        match name {
            "kinesis-forward" => self.take().map(Kind::Forward),
            "kinesis-to-s3" => self.take().map(Kind::ToS3),
            "kinesis-to-es" => {
                let (cluster, settings) = (self.take::<cluster::Settings>(), self.take());
                let settings: to_es::Settings = settings?;
                let settings = to_es::Settings { cluster: cluster?, ..settings };
                Some(Kind::ToElasticsearch(Box::new(settings)))
            }
            "kinesis-to-fluent" => self.take().map(Kind::ToFluent),
            _ => {
                let hint = did_you_mean(name, KINDS);
                let what = format!("type {name:?} is none of {}{hint}", KINDS.join(", "));
                self.mistakes.push(self.section.mistake(what));
                None
            }
        }
    }
}

fn expect_stream(
    section: &Section<'_>,
    key: &str,
    stream: &StreamName,
    streams: &[StreamName],
    mistakes: &mut Vec<Mistake>,
) {
    if !streams.contains(stream) {
        let hint = did_you_mean(stream.as_str(), streams.iter().map(StreamName::as_str));
        let what = format!("{key} is {stream}, but there is no [streams.{stream}]{hint}");
        mistakes.push(section.mistake(what));
    }
}

/// Has targets in the region of the sources be where the sources are, which others cannot be told from.
pub(super) fn at_home(modules: &mut [ModuleConfig], region: &str, mistakes: &mut Vec<Mistake>) {
    for module in modules {
        let Kind::Forward(settings) = &mut module.kind else { continue };
        *settings = settings.clone().from_region(region);
        if let Err(error) = settings.targets() {
            let section = format!("modules.{}", module.name);
            mistakes.push(Mistake { span: None, section, message: error.to_string() });
        }
    }
}

/// Refuses forwards whose records would come back to where they were: they would go round for ever.
pub(super) fn refuse_circles(modules: &[ModuleConfig], mistakes: &mut Vec<Mistake>) {
    let mut onward: BTreeMap<&StreamName, Vec<(StreamName, &ConsumerName)>> = BTreeMap::new();
    for module in modules.iter().filter(|module| module.enabled) {
        for target in module.kind.targets_here() {
            onward.entry(&module.source).or_default().push((target, &module.name));
        }
    }
    for start in onward.keys() {
        let (mut reached, mut waiting) = (Vec::new(), vec![*start]);
        while let Some(stream) = waiting.pop() {
            for (target, module) in onward.get(stream).into_iter().flatten() {
                if target == *start {
                    let message = format!(
                        "records of {start} would come back to it and go round for ever; break the circle"
                    );
                    let section = format!("modules.{module}");
                    mistakes.push(Mistake { span: None, section, message });
                    return;
                }
                if !reached.contains(&target) {
                    reached.push(target);
                    waiting.push(target);
                }
            }
        }
    }
}
