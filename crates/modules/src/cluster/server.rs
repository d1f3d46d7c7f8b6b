//! What answers: Elasticsearch or OpenSearch, in which version, as `GET /` tells.

use std::fmt;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::client::{Call, Client, Content, Unreachable};

/// The oldest Elasticsearch whose bulk requests need no type of documents.
const ELASTICSEARCH_MIN: u32 = 7;

/// What may differ for those who call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Elasticsearch with the features of Elastic's basic licence.
    Elasticsearch,
    /// Elasticsearch without them, such as Amazon's domains and Open Distro.
    ElasticsearchOss,
    /// Elastic Cloud Serverless.
    ElasticsearchServerless,
    /// OpenSearch.
    OpenSearch,
    /// Amazon OpenSearch Serverless.
    OpenSearchServerless,
}

/// A cluster's own description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) flavour: Flavour,
    /// Major and minor; none where it is not told.
    pub(crate) version: Option<(u32, u32)>,
    number: String,
}

/// What could be found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Server(Server),
    /// It does not say, as where `/` is forbidden or a proxy answers it; why not.
    Untold(String),
    /// It is too busy to say; why.
    Busy(String),
    /// It is one that cannot be used; why.
    Unsupported(String),
}

#[derive(Deserialize)]
struct Root {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    distribution: Option<String>,
    build_flavor: Option<String>,
}

impl Server {
    /// Asks the cluster.
    ///
    /// # Errors
    /// No node gave an answer.
    pub(crate) async fn find(client: &Client) -> Result<Found, Unreachable> {
        if client.is_serverless() {
            // It has no `/`.
            let number = String::new();
            let flavour = Flavour::OpenSearchServerless;
            return Ok(Found::Server(Self { flavour, version: None, number }));
        }
        let call = Call { method: &Method::GET, path: "", query: "", content: Content::Nothing };
        let answered = client.call(call).await?;
        Ok(match answered.status {
            StatusCode::OK => Self::read(&answered.body, &answered.shown),
            status if status.as_u16() == 429 || matches!(status.as_u16(), 500 | 502..=504) => {
                Found::Busy(answered.explained("the cluster is overloaded or not ready"))
            }
            _ => Found::Untold(answered.explained("its version stays unknown")),
        })
    }

    pub(crate) fn read(body: &[u8], shown: &str) -> Found {
        let Ok(Root { version }) = serde_json::from_slice::<Root>(body) else {
            return Found::Untold(format!(
                "{shown} does not answer as Elasticsearch or OpenSearch do"
            ));
        };
        let mut parts = version.number.split('.').map(|part| part.parse::<u32>().ok());
        let major_minor = parts.next().flatten().zip(parts.next().flatten());
        let flavour = match (version.distribution.as_deref(), version.build_flavor.as_deref()) {
            (Some("opensearch"), _) => Flavour::OpenSearch,
            (_, Some("serverless")) => Flavour::ElasticsearchServerless,
            // As a library, without any plugin, it does not know.
            (_, Some("oss" | "unknown")) => Flavour::ElasticsearchOss,
            _ => Flavour::Elasticsearch,
        };
        let server = Self { flavour, version: major_minor, number: version.number };
        match major_minor {
            Some((major, _)) if flavour != Flavour::OpenSearch && major < ELASTICSEARCH_MIN => {
                Found::Unsupported(format!("{shown} is {server}: it has to be 7 or later"))
            }
            _ => Found::Server(server),
        }
    }

    /// Whether its version is at least this one; what does not tell its version is taken for the newest.
    pub(crate) fn is_at_least(&self, version: (u32, u32)) -> bool {
        self.version.is_none_or(|own| own >= version)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavour {
            Flavour::Elasticsearch => "Elasticsearch",
            Flavour::ElasticsearchOss => "Elasticsearch (oss)",
            Flavour::ElasticsearchServerless => "Elasticsearch Serverless",
            Flavour::OpenSearch => "OpenSearch",
            Flavour::OpenSearchServerless => return f.write_str("Amazon OpenSearch Serverless"),
        };
        write!(f, "{name} {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: &str) -> Found {
        Server::read(
            format!(r#"{{"name":"n","version":{version},"tagline":"t"}}"#).as_bytes(),
            "http://es/",
        )
    }

    #[test]
    fn each_flavour_tells_itself() {
        for (version, flavour, numbers, shown) in [
            (
                r#"{"number":"9.2.0","build_flavor":"default"}"#,
                Flavour::Elasticsearch,
                (9, 2),
                "Elasticsearch 9.2.0",
            ),
            (
                r#"{"number":"8.19.7","build_flavor":"default"}"#,
                Flavour::Elasticsearch,
                (8, 19),
                "Elasticsearch 8.19.7",
            ),
            (
                r#"{"number":"7.10.2","build_flavor":"oss"}"#,
                Flavour::ElasticsearchOss,
                (7, 10),
                "Elasticsearch (oss) 7.10.2",
            ),
            (
                r#"{"number":"8.11.0","build_flavor":"serverless"}"#,
                Flavour::ElasticsearchServerless,
                (8, 11),
                "Elasticsearch Serverless 8.11.0",
            ),
            (
                r#"{"distribution":"opensearch","number":"3.3.0"}"#,
                Flavour::OpenSearch,
                (3, 3),
                "OpenSearch 3.3.0",
            ),
            (
                r#"{"distribution":"opensearch","number":"1.3.20"}"#,
                Flavour::OpenSearch,
                (1, 3),
                "OpenSearch 1.3.20",
            ),
        ] {
            let Found::Server(server) = read(version) else { panic!("{version}") };
            assert_eq!((server.flavour, server.version), (flavour, Some(numbers)));
            assert_eq!(server.to_string(), shown);
        }
    }

    #[test]
    fn what_is_too_old_or_something_else_is_told() {
        let Found::Unsupported(why) = read(r#"{"number":"6.8.23","build_flavor":"oss"}"#) else {
            panic!()
        };
        assert_eq!(why, "http://es/ is Elasticsearch (oss) 6.8.23: it has to be 7 or later");
        for body in ["", "<html>", "{}", r#"{"version":"1"}"#] {
            assert!(
                matches!(Server::read(body.as_bytes(), "http://es/"), Found::Untold(_)),
                "{body}"
            );
        }
        let Found::Server(server) = read(r#"{"number":"next"}"#) else { panic!() };
        assert!(server.is_at_least((99, 0)));
    }
}
