//! `[server]`: where the API listens, where data lies, how durable it is, whom it serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use baikonur_api::{Credentials, ServerSettings};
use baikonur_engine::Durability;
use baikonur_modules::settings::keys_of;
use serde::Deserialize;

use super::Overrides;
use super::document::Section;
use super::mistake::Mistake;
use super::secrets;

/// What `[server]` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerConfig {
    pub(crate) api: ServerSettings,
    pub(crate) data: PathBuf,
    pub(crate) durability: Durability,
    /// How long a stop may take to close what is held.
    pub(crate) drain: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct ServerKeys {
    listen: SocketAddr,
    data: PathBuf,
    region: String,
    account: String,
    durability: DurabilityKey,
    drain_seconds: u64,
    credentials_file: Option<PathBuf>,
}

impl Default for ServerKeys {
    fn default() -> Self {
        let ServerSettings { listen, region, account, .. } = ServerSettings::default();
        let data = default_data();
        let durability = DurabilityKey::Fsync;
        Self {
            listen,
            data,
            region,
            account,
            durability,
            drain_seconds: 30,
            credentials_file: None,
        }
    }
}

/// Where data lies when nothing else is said.
pub(super) fn default_data() -> PathBuf {
    PathBuf::from("./baikonur-data")
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DurabilityKey {
    Fsync,
    OsBuffer,
}

pub(super) fn read(
    mut section: Section<'_>,
    overrides: &Overrides,
    mistakes: &mut Vec<Mistake>,
) -> Option<ServerConfig> {
    let known = keys_of::<ServerKeys>();
    let entries = section.take_tables("credentials", mistakes);
    let keys: Option<ServerKeys> = section.take(known, mistakes);
    section.refuse_the_rest(&[known, &["credentials"]].concat(), mistakes);
    let given = !entries.is_empty();
    let mut credentials = Credentials::default();
    for entry in entries {
        secrets::read(entry, &overrides.environment, &mut credentials, mistakes);
    }
    let keys = keys?;
    if let Some(file) = &keys.credentials_file
        && let Err(error) = credentials.add_file(file)
    {
        mistakes.push(section.mistake(format_args!("credentials_file: {error}")));
    }
    // Also where a mistake left none: it is told, and nothing is served.
    let credentials = (given || keys.credentials_file.is_some()).then_some(credentials);
    let listen = overrides.listen.unwrap_or(keys.listen);
    let api = ServerSettings {
        listen,
        region: keys.region,
        account: keys.account,
        credentials,
        ..ServerSettings::default()
    };
    if let Err(error) = api.check() {
        mistakes.push(section.mistake(error));
    }
    Some(ServerConfig {
        api,
        data: overrides.data.clone().unwrap_or(keys.data),
        durability: match keys.durability {
            DurabilityKey::Fsync => Durability::Fsync,
            DurabilityKey::OsBuffer => Durability::OsBuffer,
        },
        drain: Duration::from_secs(keys.drain_seconds),
    })
}
