//! The credentials file of the AWS CLI and SDKs: profiles with access keys.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>. Beside its own keys it may hold
//! `aws_account_id`; profiles without an access key, and keys for other purposes, are passed over.
//! Messages name the line and quote nothing of it.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::credentials::{Credential, Credentials};

/// Why a credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFileError {
    /// It is not there, not text, or not ours to read.
    #[error("cannot read the credentials file {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A mistake in it.
    #[error("{file}:{line}: {what}")]
    Mistake {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong, without any secret.
        what: String,
    },
    /// Nobody could be let in.
    #[error("the credentials file {0} has no profile with aws_access_key_id")]
    Empty(String),
}

const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";
const ACCOUNT_ID: &str = "aws_account_id";

/// A profile as far as it was read.
struct Profile<'t> {
    name: &'t str,
    line: usize,
    /// The keys that matter here, with their lines.
    values: HashMap<&'static str, (usize, &'t str)>,
}

/// A mistake and its line.
type Mistake = (usize, String);

impl Credentials {
    /// Adds those of a credentials file.
    ///
    /// # Errors
    /// The file cannot be read, has a mistake, or has no access key.
    pub fn add_file(&mut self, path: &Path) -> Result<(), CredentialsFileError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.add_text(file, &text),
            Err(source) => Err(CredentialsFileError::Unreadable { file, source }),
        }
    }

    fn add_text(&mut self, file: String, text: &str) -> Result<(), CredentialsFileError> {
        let mut found = false;
        let added = profiles(text).and_then(|profiles| {
            for profile in profiles {
                found |= self.add_profile(&profile)?;
            }
            Ok(())
        });
        match added {
            Ok(()) if found => Ok(()),
            Ok(()) => Err(CredentialsFileError::Empty(file)),
            Err((line, what)) => Err(CredentialsFileError::Mistake { file, line, what }),
        }
    }

    /// Whether it had an access key.
    fn add_profile(&mut self, profile: &Profile<'_>) -> Result<bool, Mistake> {
        let name = profile.name;
        let value = |key| profile.values.get(key).map(|(_, value)| (*value).to_owned());
        let (id, secret) = match (value(ACCESS_KEY_ID), value(SECRET_ACCESS_KEY)) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => return Ok(false),
            (id, _) => {
                let missing = if id.is_none() { ACCESS_KEY_ID } else { SECRET_ACCESS_KEY };
                return Err((profile.line, format!("[{name}] lacks {missing}")));
            }
        };
        let credential = Credential::new(id, secret, value(SESSION_TOKEN), value(ACCOUNT_ID));
        credential.and_then(|credential| self.add(credential)).map(|()| true).map_err(|fault| {
            use super::credentials::CredentialFault as Fault;
            let key = match fault {
                Fault::AccessKeyId | Fault::Taken => ACCESS_KEY_ID,
                Fault::SecretAccessKey => SECRET_ACCESS_KEY,
                Fault::SessionToken => SESSION_TOKEN,
                Fault::Account => ACCOUNT_ID,
            };
            let line = profile.values.get(key).map_or(profile.line, |(line, _)| *line);
            (line, format!("[{name}] {fault}"))
        })
    }
}

fn profiles(text: &str) -> Result<Vec<Profile<'_>>, Mistake> {
    let mut profiles: Vec<Profile<'_>> = Vec::new();
    // Below a key without a value, indented lines are keys of its own.
    let mut nested = false;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, whole) in (1..).zip(text.lines()) {
        let trimmed = whole.trim();
        let indented = whole.starts_with([' ', '\t']);
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) || (nested && indented) {
            continue;
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let Some((name, _)) = rest.split_once(']') else {
                return Err((line, "a profile begins with [ and has no ]".to_owned()));
            };
            let name = name.trim();
            if profiles.iter().any(|profile| profile.name == name) {
                return Err((line, format!("[{name}] is there already")));
            }
            nested = false;
            profiles.push(Profile { name, line, values: HashMap::new() });
            continue;
        }
        let Some((key, value)) = trimmed.split_once('=') else {
            let what = "neither a [profile], nor key = value, nor a # comment";
            return Err((line, what.to_owned()));
        };
        let Some(profile) = profiles.last_mut() else {
            return Err((line, "a key stands before the first [profile]".to_owned()));
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        nested = value.is_empty();
        let keys = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, ACCOUNT_ID];
        if let Some(key) = keys.into_iter().find(|known| **known == key)
            && profile.values.insert(key, (line, value)).is_some()
        {
            return Err((line, format!("[{}] has {key} twice", profile.name)));
        }
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credentials, String> {
        let mut credentials = Credentials::default();
        credentials.add_text("c".into(), text).map_err(|error| error.to_string())?;
        Ok(credentials)
    }

    #[test]
    fn profiles_are_read_as_the_cli_writes_them() {
        let text = "\u{feff}# mine\n[default]\naws_access_key_id = AKIDONE\naws_secret_access_key=s/1+=\r\n\n\
                    [ role ] ; no keys\nrole_arn = arn\ns3 =\n  aws_access_key_id = nested\n\
                    \n[two]\n AWS_ACCESS_KEY_ID=AKIDTWO\n aws_secret_access_key = s2\naws_session_token = t2\n\
                    aws_account_id = 222222222222\nregion = eu-west-1\n";
        let credentials = read(text).unwrap();
        assert_eq!(credentials.len(), 2);
        let one = credentials.get("AKIDONE").unwrap();
        assert_eq!((one.secret_access_key(), one.session_token()), ("s/1+=", None));
        assert_eq!(one.account(), None);
        let two = credentials.get("AKIDTWO").unwrap();
        assert_eq!((two.secret_access_key(), two.session_token()), ("s2", Some("t2")));
        assert_eq!(two.account(), Some("222222222222"));
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_no_secret() {
        const ID: &str = "aws_access_key_id = A\n";
        const SECRET: &str = "aws_secret_access_key = hidden\n";
        for (text, told) in [
            (format!("{ID}{SECRET}"), "c:1: a key stands before the first [profile]"),
            (format!("[a\n{ID}"), "c:1: a profile begins with [ and has no ]"),
            (
                "[a]\n\nhidden\n".into(),
                "c:3: neither a [profile], nor key = value, nor a # comment",
            ),
            (format!("[a]\n{ID}"), "c:1: [a] lacks aws_secret_access_key"),
            (format!("[a]\n{SECRET}"), "c:1: [a] lacks aws_access_key_id"),
            (format!("[a]\n{SECRET}{SECRET}"), "c:3: [a] has aws_secret_access_key twice"),
            (format!("[a]\n{ID}{SECRET}[a]"), "c:4: [a] is there already"),
            (
                format!("[a]\n{ID}aws_secret_access_key = hidden # not a comment\n"),
                "c:3: [a] secret_access_key must not be empty or contain blanks",
            ),
            (
                format!("[a]\n{ID}{SECRET}aws_session_token =\n"),
                "c:4: [a] session_token must not be empty or contain blanks",
            ),
            (
                format!("[a]\n{ID}{SECRET}aws_account_id = 1\n"),
                "c:4: [a] account must be 12 digits",
            ),
            (
                format!("[a]\n{ID}{SECRET}[b]\n{ID}aws_secret_access_key = hidden2\n"),
                "c:5: [b] access_key_id is that of another credential with another secret, token or account",
            ),
            (
                "[a]\nregion = x\n".into(),
                "the credentials file c has no profile with aws_access_key_id",
            ),
        ] {
            assert_eq!(read(&text).unwrap_err(), told, "{text}");
        }
        let missing = Credentials::default().add_file(Path::new("/nowhere/c")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the credentials file /nowhere/c:"));
    }
}
