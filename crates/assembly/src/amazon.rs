//! Who this process is to Amazon, for modules that sign their requests themselves.

use std::sync::Arc;

use async_trait::async_trait;
use baikonur_kinesis::Connection;
use baikonur_modules::cluster::{Amazon, AmazonIdentity, Settings};

/// Credentials as every AWS tool finds them: environment, profile, web identity, role of the container or instance.
struct Profile {
    region: Option<String>,
    profile: Option<String>,
}

/// Whom to ask for credentials for a cluster, if its requests are signed. Nothing is contacted yet.
pub fn for_cluster(settings: &Settings) -> Option<Arc<dyn Amazon>> {
    let Settings { aws_region: region, aws_profile: profile, .. } = settings;
    let found = || Profile { region: region.clone(), profile: profile.clone() };
    settings.is_signed().then(|| Arc::new(found()) as _)
}

#[async_trait]
impl Amazon for Profile {
    async fn identity(&self) -> Option<AmazonIdentity> {
        let connection = Connection::to_amazon(self.region.clone(), self.profile.clone()).await;
        let credentials = connection.sdk_config().credentials_provider()?;
        Some(AmazonIdentity { credentials, region: connection.region().map(str::to_owned) })
    }
}
