//! Amazon's managed services: what their requests are signed for, and what a host name says of it.

use serde::Deserialize;

/// What requests are signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsService {
    /// Amazon OpenSearch Service and Amazon Elasticsearch Service: domains.
    Es,
    /// Amazon OpenSearch Serverless: collections.
    Aoss,
    /// Nothing, although the host is Amazon's: the domain's policy goes by addresses.
    None,
}

impl AwsService {
    /// The name that stands in signatures.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Aoss => "aoss",
            Self::None => "none",
        }
    }
}

/// Service and region of a host of Amazon's, by the forms in the developer guide of Amazon OpenSearch Service: domains
/// `*.REGION.es.amazonaws.com` and `*.aos.REGION.on.aws`, collections `*.REGION.aoss.amazonaws.com` and
/// `*.aoss.REGION.on.aws`, in China with `.cn` behind it.
pub(super) fn of_host(host: &str) -> Option<(AwsService, &str)> {
    let host = host.trim_end_matches('.');
    if let Some(rest) = host.strip_suffix(".on.aws") {
        let (rest, region) = rest.rsplit_once('.')?;
        return match rest.rsplit_once('.')?.1 {
            "aos" => Some((AwsService::Es, region)),
            "aoss" => Some((AwsService::Aoss, region)),
            _ => None,
        };
    }
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let (rest, service) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
    let region = rest.rsplit_once('.')?.1;
    match service {
        "es" => Some((AwsService::Es, region)),
        "aoss" => Some((AwsService::Aoss, region)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_tell_service_and_region() {
        for (host, expected) in [
            ("search-logs-x1.eu-west-1.es.amazonaws.com", Some((AwsService::Es, "eu-west-1"))),
            ("vpc-logs-x1.cn-north-1.es.amazonaws.com.cn", Some((AwsService::Es, "cn-north-1"))),
            ("search-logs-x1.aos.us-east-1.on.aws", Some((AwsService::Es, "us-east-1"))),
            ("x1y2.us-east-1.aoss.amazonaws.com", Some((AwsService::Aoss, "us-east-1"))),
            ("x1y2.aoss.us-east-1.on.aws", Some((AwsService::Aoss, "us-east-1"))),
            ("es.amazonaws.com", None),
            ("s3.eu-west-1.amazonaws.com", None),
            ("logs.es.example.com", None),
            ("x.y.on.aws", None),
            ("localhost", None),
        ] {
            assert_eq!(of_host(host), expected, "{host}");
        }
    }
}
