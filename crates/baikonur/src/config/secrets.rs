//! `[[server.credentials]]`: access keys, whose secrets need not stand in the file and are shown nowhere.

use std::collections::BTreeMap;

use baikonur_api::{Credential, Credentials};
use baikonur_modules::settings::keys_of;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::document::Section;
use super::mistake::Mistake;

#[derive(Deserialize)]
struct CredentialKeys {
    access_key_id: String,
    #[serde(default, deserialize_with = "secret")]
    secret_access_key: Option<String>,
    secret_access_key_env: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    session_token: Option<String>,
    account: Option<String>,
}

/// A text; what else stands there is not repeated in the message.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some).map_err(|_| D::Error::custom("a secret is a text"))
}

/// Adds what one table says to `credentials`.
pub(super) fn read(
    mut section: Section<'_>,
    environment: &BTreeMap<String, String>,
    credentials: &mut Credentials,
    mistakes: &mut Vec<Mistake>,
) {
    let known = keys_of::<CredentialKeys>();
    let keys: Option<CredentialKeys> = section.take(known, mistakes);
    section.refuse_the_rest(known, mistakes);
    let Some(keys) = keys else { return };
    let secret = match (keys.secret_access_key, keys.secret_access_key_env) {
        (Some(secret), None) => Ok(secret),
        (None, Some(name)) => environment.get(&name).cloned().ok_or_else(|| {
            format!("secret_access_key_env is {name}, but this environment variable is not set")
        }),
        (Some(_), Some(_)) => {
            Err("secret_access_key and secret_access_key_env are both there: one is enough".into())
        }
        (None, None) => Err("secret_access_key is missing, and so is secret_access_key_env".into()),
    };
    let added = secret.and_then(|secret| {
        Credential::new(keys.access_key_id, secret, keys.session_token, keys.account)
            .and_then(|credential| credentials.add(credential))
            .map_err(|fault| fault.to_string())
    });
    if let Err(what) = added {
        mistakes.push(section.mistake(what));
    }
}
