//! The index template and the life-cycle policy of a module's indices, put where they are missing or its own.
//!
//! What is put carries a fingerprint of itself. So a start finds what an earlier one has put and leaves it alone, a
//! change of the settings replaces it, and what somebody else has made under that name is not touched unless told.

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::index_names::index_pattern;
use super::settings::{Settings, WriteTo};
use crate::cluster::{Answered, Call, Client, Content, Flavour, Server, segment};

/// Who made it, in the words that are looked for.
const MAKER: &str = "baikonur";
/// A data stream goes on to the next index after this time, or at this size (the recommendation of Elasticsearch's
/// and OpenSearch's guides for a shard).
const ROLLOVER_AGE: &str = "1d";
const ROLLOVER_SIZE: &str = "50gb";
/// Composable index templates.
const TEMPLATES_SINCE: (u32, u32) = (7, 8);
/// `_meta` in policies, and the size of a primary shard as a condition.
const POLICY_META_SINCE: (u32, u32) = (7, 16);

/// Installs what `settings` ask for; `own` is the user's part of the template. Does nothing where it is there already.
///
/// # Errors
/// What keeps it from being installed, and what to do.
pub(super) async fn install(
    client: &Client,
    server: &Server,
    settings: &Settings,
    own: &Map<String, Value>,
) -> Result<(), String> {
    let is_elasticsearch = matches!(
        server.flavour,
        Flavour::Elasticsearch | Flavour::ElasticsearchOss | Flavour::ElasticsearchServerless
    );
    if is_elasticsearch && !server.is_at_least(TEMPLATES_SINCE) {
        return Err(format!(
            "{server} has no composable index templates: they came with 7.8; set install_templates = false"
        ));
    }
    let name = match &settings.data_stream_namespace {
        Some(namespace) => format!("{MAKER}-{}-{namespace}", settings.index_name_prefix),
        None => format!("{MAKER}-{}", settings.index_name_prefix),
    };
    let installation =
        Installation { client, name: &name, overwrite: settings.overwrite_templates };
    if let Some(policy) = policy(server, settings, &name)? {
        installation.put(&policy).await?;
    }
    installation.put(&template(server, settings, own, &name)).await
}

/// Something to be put under a name.
#[derive(Debug, PartialEq)]
struct Wanted {
    what: &'static str,
    /// Before the name.
    path: &'static str,
    body: Value,
    kind: Kind,
    fingerprint: String,
}

/// How a thing tells who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `index_templates[0].index_template._meta`.
    Template,
    /// `NAME.policy._meta`.
    Ilm,
    /// `NAME`, which cannot be told apart.
    IlmWithoutMeta,
    /// The description of the policy; a change names the version that it changes.
    Ism,
}

/// What stands under a name now.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// What is wanted.
    Same,
    /// Made by baikonur, with other settings; the query that a change needs.
    Ours(String),
    /// Made by somebody else.
    Foreign(String),
}

impl Wanted {
    fn new(what: &'static str, path: &'static str, kind: Kind, mut body: Value) -> Self {
        let digest = Sha256::digest(body.to_string());
        let fingerprint: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        match kind {
            Kind::Template => body["_meta"] = meta(&fingerprint),
            Kind::Ilm => body["policy"]["_meta"] = meta(&fingerprint),
            Kind::IlmWithoutMeta => {}
            Kind::Ism => body["policy"]["description"] = description(&fingerprint).into(),
        }
        Self { what, path, body, kind, fingerprint }
    }

    /// What an answer to a question for it shows.
    fn held(&self, answer: &Value, name: &str) -> Held {
        let mut query = String::new();
        let maker = match self.kind {
            Kind::Template => &answer["index_templates"][0]["index_template"]["_meta"],
            Kind::Ilm => &answer[name]["policy"]["_meta"],
            // Nothing tells an old one of ours from a foreign one: neither is touched.
            Kind::IlmWithoutMeta => return Held::Same,
            Kind::Ism => {
                let (number, term) = (&answer["_seq_no"], &answer["_primary_term"]);
                query = format!("if_seq_no={number}&if_primary_term={term}");
                &answer["policy"]["description"]
            }
        };
        let (is_ours, is_same) = match self.kind {
            Kind::Ism => {
                let text = maker.as_str().unwrap_or_default();
                (text.starts_with(DESCRIPTION), text == description(&self.fingerprint))
            }
            _ => (maker["managed_by"] == MAKER, *maker == meta(&self.fingerprint)),
        };
        match (is_ours, is_same) {
            (_, true) => Held::Same,
            (true, false) => Held::Ours(query),
            (false, false) => Held::Foreign(query),
        }
    }
}

fn meta(fingerprint: &str) -> Value {
    json!({ "managed_by": MAKER, "fingerprint": fingerprint })
}

/// How the description of a policy of ours begins.
const DESCRIPTION: &str = "managed by baikonur, ";

fn description(fingerprint: &str) -> String {
    format!("{DESCRIPTION}{fingerprint}")
}

/// The index template.
fn template(server: &Server, settings: &Settings, own: &Map<String, Value>, name: &str) -> Wanted {
    let mut body = Value::Object(own.clone());
    if body["index_patterns"].is_null() {
        body["index_patterns"] = json!([index_pattern(settings)]);
    }
    if body["priority"].is_null() {
        body["priority"] = settings.template_priority.into();
    }
    if settings.write_to == WriteTo::DataStreams {
        if body["data_stream"].is_null() {
            body["data_stream"] = json!({});
        }
        let timestamp = &mut body["template"]["mappings"]["properties"]["@timestamp"];
        if timestamp.is_null() {
            *timestamp = json!({ "type": "date" });
        }
    }
    if let Some(days) = settings.retention_days {
        match server.flavour {
            Flavour::Elasticsearch => {
                body["template"]["settings"]["index.lifecycle.name"] = name.into();
            }
            Flavour::ElasticsearchServerless => {
                body["template"]["lifecycle"] = json!({ "data_retention": format!("{days}d") });
            }
            // Policies of ISM name the indices themselves.
            Flavour::ElasticsearchOss | Flavour::OpenSearch | Flavour::OpenSearchServerless => {}
        }
    }
    Wanted::new("index template", "_index_template", Kind::Template, body)
}

/// The policy that deletes, where it is asked for and is a thing of its own.
fn policy(server: &Server, settings: &Settings, name: &str) -> Result<Option<Wanted>, String> {
    let Some(days) = settings.retention_days else { return Ok(None) };
    let age = format!("{days}d");
    let is_stream = settings.write_to == WriteTo::DataStreams;
    match server.flavour {
        Flavour::Elasticsearch => {
            let has_meta = server.is_at_least(POLICY_META_SINCE);
            let size = if has_meta { "max_primary_shard_size" } else { "max_size" };
            let hot = match is_stream {
                true => json!({ "rollover": { "max_age": ROLLOVER_AGE, size: ROLLOVER_SIZE } }),
                false => json!({}),
            };
            let phases = json!({
                "hot": { "actions": hot },
                "delete": { "min_age": age, "actions": { "delete": {} } },
            });
            let body = json!({ "policy": { "phases": phases } });
            let kind = if has_meta { Kind::Ilm } else { Kind::IlmWithoutMeta };
            Ok(Some(Wanted::new("ILM policy", "_ilm/policy", kind, body)))
        }
        Flavour::OpenSearch | Flavour::ElasticsearchOss => {
            let path = match server.flavour {
                Flavour::OpenSearch => "_plugins/_ism/policies",
                _ => "_opendistro/_ism/policies",
            };
            let written = match is_stream {
                true => {
                    json!([{ "rollover": { "min_index_age": ROLLOVER_AGE, "min_size": ROLLOVER_SIZE } }])
                }
                false => json!([]),
            };
            let body = json!({ "policy": {
                "description": name,
                "default_state": "written",
                "states": [
                    {
                        "name": "written",
                        "actions": written,
                        "transitions": [{ "state_name": "deleted", "conditions": { "min_index_age": age } }],
                    },
                    { "name": "deleted", "actions": [{ "delete": {} }], "transitions": [] },
                ],
                "ism_template": [{
                    "index_patterns": [index_pattern(settings)],
                    "priority": settings.template_priority,
                }],
            } });
            Ok(Some(Wanted::new("ISM policy", path, Kind::Ism, body)))
        }
        Flavour::ElasticsearchServerless if is_stream => Ok(None),
        Flavour::ElasticsearchServerless => Err(format!(
            "{server} deletes by age only in data streams: set write_to = \"data_streams\", or leave retention_days out and run an es-cleaner"
        )),
        Flavour::OpenSearchServerless => Err(format!(
            "{server} has no policies of indices: leave retention_days out, and set a data life-cycle policy of the collection or run an es-cleaner"
        )),
    }
}

struct Installation<'i> {
    client: &'i Client,
    name: &'i str,
    overwrite: bool,
}

impl Installation<'_> {
    async fn put(&self, wanted: &Wanted) -> Result<(), String> {
        let (what, name) = (wanted.what, self.name);
        // Twice: another process may put it between question and answer.
        for _ in 0..2 {
            let query = match self.held(wanted).await? {
                Held::Same => return Ok(()),
                Held::Nothing => String::new(),
                Held::Ours(query) => query,
                Held::Foreign(query) if self.overwrite => query,
                Held::Foreign(_) => {
                    return Err(format!(
                        "there is an {what} {name:?} that baikonur did not make: rename it, or set overwrite_templates = true"
                    ));
                }
            };
            let body = wanted.body.to_string().into();
            let answered = self.call(&Method::PUT, wanted, &query, Content::Json(&body)).await?;
            match answered.status.as_u16() {
                200..300 => {
                    tracing::info!("the {what} {name} is installed");
                    return Ok(());
                }
                409 => {}
                _ => {
                    let hint = "the right to manage it may be missing, or another one of the same priority is in its way (template_priority)";
                    return Err(format!(
                        "the {what} {name} cannot be installed: {}",
                        answered.explained(hint)
                    ));
                }
            }
        }
        Err(format!("the {what} {name} is changed by somebody else again and again"))
    }

    async fn held(&self, wanted: &Wanted) -> Result<Held, String> {
        let answered = self.call(&Method::GET, wanted, "", Content::Nothing).await?;
        match answered.status {
            StatusCode::OK => {
                let answer = serde_json::from_slice(&answered.body).unwrap_or_default();
                Ok(wanted.held(&answer, self.name))
            }
            StatusCode::NOT_FOUND => Ok(Held::Nothing),
            _ => {
                let hint = "the right to look may be missing, or the cluster knows no such thing; set install_templates = false to do without";
                Err(format!(
                    "cannot see the {} {}: {}",
                    wanted.what,
                    self.name,
                    answered.explained(hint)
                ))
            }
        }
    }

    async fn call(
        &self,
        method: &Method,
        wanted: &Wanted,
        query: &str,
        content: Content<'_>,
    ) -> Result<Answered, String> {
        let path = format!("{}/{}", wanted.path, segment(self.name));
        let call = Call { method, path: &path, query, content };
        self.client.call(call).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubles::settings;
    use super::*;
    use crate::cluster::Found;

    fn server(version: &str) -> Server {
        let body = format!(r#"{{"version":{version}}}"#);
        let Found::Server(server) = Server::read(body.as_bytes(), "x") else { panic!("{version}") };
        server
    }

    fn elasticsearch() -> Server {
        server(r#"{"number":"9.2.0","build_flavor":"default"}"#)
    }

    fn opensearch() -> Server {
        server(r#"{"number":"3.3.0","distribution":"opensearch"}"#)
    }

    fn installing() -> Settings {
        Settings { install_templates: true, retention_days: Some(30), ..settings() }
    }

    fn streaming() -> Settings {
        Settings { write_to: WriteTo::DataStreams, ..installing() }
    }

    #[test]
    fn a_template_has_the_users_part_and_what_the_settings_say() {
        let own = json!({ "priority": 7, "template": { "settings": { "number_of_shards": 3 } } });
        let Value::Object(own) = own else { unreachable!() };
        let wanted = template(&elasticsearch(), &installing(), &own, "n");
        let mut body = wanted.body.clone();
        assert_eq!(body["_meta"]["managed_by"], "baikonur");
        body.as_object_mut().unwrap().remove("_meta");
        assert_eq!(
            body,
            json!({
                "index_patterns": ["logs-*"], "priority": 7,
                "template": { "settings": { "number_of_shards": 3, "index.lifecycle.name": "n" } },
            })
        );
        let body = template(&opensearch(), &streaming(), &Map::new(), "n").body;
        assert_eq!(body["data_stream"], json!({}));
        assert_eq!(body["template"]["mappings"]["properties"]["@timestamp"]["type"], "date");
        assert_eq!(body["template"]["settings"], Value::Null);
        let serverless = server(r#"{"number":"8.11.0","build_flavor":"serverless"}"#);
        let body = template(&serverless, &streaming(), &Map::new(), "n").body;
        assert_eq!(body["template"]["lifecycle"]["data_retention"], "30d");
    }

    #[test]
    fn each_server_has_its_own_policies() {
        let put =
            |server: &Server, settings: &Settings| policy(server, settings, "n").unwrap().unwrap();
        let daily = put(&elasticsearch(), &installing());
        assert_eq!((daily.path, daily.kind), ("_ilm/policy", Kind::Ilm));
        assert_eq!(daily.body["policy"]["phases"]["delete"]["min_age"], "30d");
        assert_eq!(daily.body["policy"]["phases"]["hot"]["actions"], json!({}));
        let streams = put(&elasticsearch(), &streaming());
        let rollover = &streams.body["policy"]["phases"]["hot"]["actions"]["rollover"];
        assert_eq!(*rollover, json!({ "max_age": "1d", "max_primary_shard_size": "50gb" }));
        let old = server(r#"{"number":"7.10.1","build_flavor":"default"}"#);
        assert_eq!(put(&old, &streaming()).kind, Kind::IlmWithoutMeta);
        let ism = put(&opensearch(), &streaming());
        assert_eq!(ism.path, "_plugins/_ism/policies");
        assert_eq!(ism.body["policy"]["ism_template"][0]["index_patterns"], json!(["logs-*"]));
        let domain = server(r#"{"number":"7.10.2","build_flavor":"oss"}"#);
        assert_eq!(put(&domain, &installing()).path, "_opendistro/_ism/policies");
        let serverless = server(r#"{"number":"8.11.0","build_flavor":"serverless"}"#);
        assert_eq!(policy(&serverless, &streaming(), "n"), Ok(None));
        assert!(policy(&serverless, &installing(), "n").unwrap_err().contains("es-cleaner"));
        assert_eq!(policy(&elasticsearch(), &settings(), "n"), Ok(None));
    }

    #[test]
    fn what_is_there_is_known_as_ours_or_foreign() {
        let own = Map::new();
        let wanted = template(&elasticsearch(), &installing(), &own, "n");
        let answer =
            |body: &Value| json!({ "index_templates": [{ "name": "n", "index_template": body }] });
        assert_eq!(wanted.held(&answer(&wanted.body), "n"), Held::Same);
        let other = Settings { template_priority: 300, ..installing() };
        let other = template(&elasticsearch(), &other, &own, "n");
        assert_eq!(wanted.held(&answer(&other.body), "n"), Held::Ours(String::new()));
        assert_eq!(wanted.held(&answer(&json!({})), "n"), Held::Foreign(String::new()));

        let ilm = policy(&elasticsearch(), &installing(), "n").unwrap().unwrap();
        assert_eq!(ilm.held(&json!({ "n": ilm.body }), "n"), Held::Same);
        assert_eq!(ilm.held(&json!({ "n": { "policy": {} } }), "n"), Held::Foreign(String::new()));

        let ism = policy(&opensearch(), &installing(), "n").unwrap().unwrap();
        let mut answer = ism.body.clone();
        (answer["_seq_no"], answer["_primary_term"]) = (7.into(), 2.into());
        assert_eq!(ism.held(&answer, "n"), Held::Same);
        let query = "if_seq_no=7&if_primary_term=2".to_owned();
        answer["policy"]["description"] = "managed by baikonur, other".into();
        assert_eq!(ism.held(&answer, "n"), Held::Ours(query.clone()));
        answer["policy"]["description"] = "mine".into();
        assert_eq!(ism.held(&answer, "n"), Held::Foreign(query));
    }
}
