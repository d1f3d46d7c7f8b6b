//! How the server of an `s3://` URL is reached, where no configuration says it.

use baikonur_modules::objects::S3Settings;

/// How the server of an `s3://` URL is reached.
#[derive(Debug, clap::Args)]
pub(super) struct S3 {
    /// The URL of an S3-compatible server [default: Amazon S3, or AWS_ENDPOINT_URL_S3].
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,
    /// The bucket's region [default: AWS_REGION, or us-east-1].
    #[arg(long, value_name = "REGION")]
    s3_region: Option<String>,
    /// Speak http:// also to a host that is not this machine.
    #[arg(long)]
    s3_allow_http: bool,
}

impl S3 {
    #[allow(clippy::needless_update, reason = "what else there is to set is as without a flag")]
    pub(super) fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            allow_http: self.s3_allow_http,
            ..S3Settings::default()
        }
    }
}
