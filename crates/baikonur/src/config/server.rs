//! `[server]`: where the API listens, where data lies, how durable it is, whom it serves, what scales.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baikonur_api::{Credentials, Limits, ServerSettings, Tls};
use baikonur_engine::Durability;
use baikonur_modules::settings::keys_of;
use baikonur_scaling::autoscale::PercentRule;
use serde::Deserialize;

use super::Overrides;
use super::document::Section;
use super::mapping_keys::IN_FLIGHT_BYTES_MIN;
use super::mistake::Mistake;
use super::secrets;

/// What `[server]` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerConfig {
    pub(crate) api: ServerSettings,
    pub(crate) data: PathBuf,
    /// Streams are those that `[kinesis]` says, and none are embedded.
    pub(crate) streams_on_kinesis: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) durability: Durability,
    /// How long a stop may take to close what is held.
    pub(crate) drain: Duration,
    /// What all mappings together may have in memory between reading and acknowledgement.
    pub(crate) in_flight_bytes: u64,
    /// The configuration of the autoscaling monitor.
    pub(crate) autoscale: Option<PathBuf>,
    /// How it reads percentages.
    pub(crate) autoscale_rule: PercentRule,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct ServerKeys {
    listen: SocketAddr,
    data: PathBuf,
    streams: StreamsKey,
    region: String,
    account: String,
    tls: TlsKey,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_host: Option<String>,
    durability: DurabilityKey,
    drain_seconds: u64,
    in_flight_bytes: u64,
    autoscale: Option<PathBuf>,
    autoscale_compat: bool,
    limits: LimitsKey,
    credentials_file: Option<PathBuf>,
}

impl Default for ServerKeys {
    fn default() -> Self {
        let ServerSettings { listen, region, account, .. } = ServerSettings::default();
        let data = default_data();
        Self {
            listen,
            data,
            streams: StreamsKey::Embedded,
            region,
            account,
            tls: TlsKey::Off,
            tls_certificate: None,
            tls_key: None,
            tls_host: None,
            durability: DurabilityKey::Fsync,
            drain_seconds: 30,
            in_flight_bytes: IN_FLIGHT_BYTES,
            autoscale: None,
            autoscale_compat: false,
            limits: LimitsKey::Calls,
            credentials_file: None,
        }
    }
}

/// What all mappings together may have in memory by default.
const IN_FLIGHT_BYTES: u64 = 256 * 1024 * 1024;

/// Where data lies when nothing else is said.
pub(super) fn default_data() -> PathBuf {
    PathBuf::from("./baikonur-data")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StreamsKey {
    Embedded,
    Kinesis,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DurabilityKey {
    Fsync,
    OsBuffer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TlsKey {
    Off,
    Generated,
    Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LimitsKey {
    Calls,
    Aws,
}

/// Where a generated certificate lies, below the data directory.
const TLS_DIRECTORY: &str = "tls";

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
        limits: match keys.limits {
            LimitsKey::Calls => Limits::Calls,
            LimitsKey::Aws => Limits::Aws,
        },
        ..ServerSettings::default()
    };
    if let Err(error) = api.check() {
        mistakes.push(section.mistake(error));
    }
    let bytes = keys.in_flight_bytes;
    if bytes < IN_FLIGHT_BYTES_MIN {
        mistakes.push(section.mistake(format_args!(
            "in_flight_bytes is {bytes}: it can be {IN_FLIGHT_BYTES_MIN} (1 MiB) or more"
        )));
    }
    let data = overrides.data.clone().unwrap_or(keys.data);
    let tls = TlsKeys {
        tls: keys.tls,
        certificate: keys.tls_certificate,
        key: keys.tls_key,
        host: keys.tls_host,
    };
    let tls = tls.read(&data).unwrap_or_else(|error| {
        mistakes.push(section.mistake(error));
        None
    });
    Some(ServerConfig {
        api,
        data,
        streams_on_kinesis: keys.streams == StreamsKey::Kinesis,
        tls,
        durability: match keys.durability {
            DurabilityKey::Fsync => Durability::Fsync,
            DurabilityKey::OsBuffer => Durability::OsBuffer,
        },
        drain: Duration::from_secs(keys.drain_seconds),
        in_flight_bytes: keys.in_flight_bytes,
        autoscale: keys.autoscale,
        autoscale_rule: match keys.autoscale_compat {
            true => PercentRule::Legacy,
            false => PercentRule::Plain,
        },
    })
}

struct TlsKeys {
    tls: TlsKey,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    host: Option<String>,
}

impl TlsKeys {
    /// What they say together, or what is wrong, with the key that is to blame named first.
    fn read(self, data: &Path) -> Result<Option<Tls>, String> {
        let Self { tls, certificate, key, host } = self;
        for (name, is_given, wants) in [
            ("tls_certificate", certificate.is_some(), TlsKey::Files),
            ("tls_key", key.is_some(), TlsKey::Files),
            ("tls_host", host.is_some(), TlsKey::Generated),
        ] {
            let value = if wants == TlsKey::Files { "files" } else { "generated" };
            if is_given && tls != wants {
                return Err(format!("{name} is for tls = \"{value}\" alone"));
            }
        }
        let tls = match tls {
            TlsKey::Off => return Ok(None),
            TlsKey::Generated => Tls::Generated { directory: data.join(TLS_DIRECTORY), host },
            TlsKey::Files => {
                let (Some(certificate), Some(key)) = (certificate, key) else {
                    return Err("tls = \"files\" needs tls_certificate and tls_key".to_owned());
                };
                Tls::Files { certificate, key }
            }
        };
        tls.check().map_err(|error| format!("tls_{error}"))?;
        Ok(Some(tls))
    }
}
