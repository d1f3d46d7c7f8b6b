//! `[modules.NAME]` of type `es-cleaner`: no stream is read, and old indices of a cluster are deleted by a schedule.

use baikonur_modules::settings::keys_of;
use baikonur_modules::{cluster, es_cleaner};
use baikonur_stream::ConsumerName;
use serde::Deserialize;

use super::document::Section;
use super::mistake::Mistake;
use super::module::check_name;

/// As the configuration spells it.
pub(super) const KIND: &str = "es-cleaner";

/// What such a table says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CleanerConfig {
    pub(crate) name: ConsumerName,
    pub(crate) enabled: bool,
    pub(crate) settings: es_cleaner::Settings,
}

#[derive(Debug, Deserialize)]
struct HeadKeys {
    #[serde(default = "enabled_by_default")]
    enabled: bool,
}

fn enabled_by_default() -> bool {
    true
}

/// Whether a table of a module is one of a cleaner.
pub(super) fn is_one(section: &Section<'_>) -> bool {
    section.text("type") == Some(KIND)
}

pub(super) fn read(mut section: Section<'_>, mistakes: &mut Vec<Mistake>) -> Option<CleanerConfig> {
    check_name(&section, mistakes);
    let parts = [keys_of::<HeadKeys>(), cluster::Settings::keys(), es_cleaner::Settings::keys()];
    let head: Option<HeadKeys> = section.take(parts[0], mistakes);
    let cluster: Option<cluster::Settings> = section.take(parts[1], mistakes);
    let settings: Option<es_cleaner::Settings> = section.take(parts[2], mistakes);
    let known: Vec<_> = ["type"].into_iter().chain(parts.concat()).collect();
    section.forget("type");
    section.refuse_the_rest(&known, mistakes);
    let settings = es_cleaner::Settings { cluster: cluster?, ..settings? };
    if let Err(error) = settings.check() {
        mistakes.push(section.mistake(error));
    }
    let name = ConsumerName::new(section.name());
    Some(CleanerConfig { name, enabled: head?.enabled, settings })
}
