//! Where to call, and as whom: region and credentials as every Amazon SDK finds them.

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use reqwest::Certificate;

/// The region of ARNs and signatures where nobody names one, as the embedded server has it.
const DEFAULT_REGION: &str = "us-east-1";
/// How an embedded server is greeted by those who have no credentials: it may not ask for any.
const NOBODY: &str = "local";
/// What CloudTrail shows of whoever assumed a role.
const SESSION_NAME: &str = "baikonur";

/// Settings for calls; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) sdk: SdkConfig,
    /// Instead of Amazon.
    pub(crate) endpoint: Option<String>,
    /// What the endpoint may be trusted by, instead of this machine's certificates.
    pub(crate) trusted: Vec<Certificate>,
}

/// Why certificates cannot be trusted by.
#[derive(Debug, thiserror::Error)]
#[error("there are no certificates in PEM")]
pub struct NoCertificates;

/// Has a client trust the certificates in `pem`, and no others.
fn trust(
    loader: &mut ConfigLoader,
    pem: Option<Vec<u8>>,
) -> Result<Vec<Certificate>, NoCertificates> {
    let Some(pem) = pem else { return Ok(Vec::new()) };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| NoCertificates)?;
    if certificates.is_empty() {
        return Err(NoCertificates);
    }
    let store = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(store).build();
    let client = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.map_err(|_| NoCertificates)?);
    *loader = std::mem::take(loader).http_client(client.build_https());
    Ok(certificates)
}

impl Connection {
    /// Amazon: region and credentials from these words, the environment, the profile or the role
    /// of the container or instance.
    pub async fn to_amazon(region: Option<String>, profile: Option<String>) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        Self { sdk: loader.load().await, endpoint: None, trusted: Vec::new() }
    }

    /// An endpoint that speaks the API, such as `http://127.0.0.1:4567`. Credentials come from the
    /// environment's variables; without them requests are signed as nobody. `trusted` are
    /// certificates in PEM that the endpoint may be trusted by, instead of this machine's.
    ///
    /// # Errors
    /// There are none in `trusted`.
    pub async fn to_endpoint(
        endpoint: String,
        region: Option<String>,
        trusted: Option<Vec<u8>>,
    ) -> Result<Self, NoCertificates> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = region
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let (key, secret) = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            (Some(key), Some(secret)) => (key, secret),
            _ => (NOBODY.to_owned(), NOBODY.to_owned()),
        };
        let token = variable("AWS_SESSION_TOKEN");
        let credentials = Credentials::new(key, secret, token, None, "baikonur");
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(credentials);
        let certificates = trust(&mut loader, trusted)?;
        Ok(Self { sdk: loader.load().await, endpoint: Some(endpoint), trusted: certificates })
    }

    /// Amazon, or an endpoint in its place, with region and credentials as [`Self::to_amazon`] has
    /// them; only an endpoint of plain `http://`, which no endpoint of Amazon's is, may be greeted by
    /// nobody as [`Self::to_endpoint`] does.
    ///
    /// # Errors
    /// There are no certificates in `trusted`.
    pub async fn to_service(
        region: Option<String>,
        profile: Option<String>,
        endpoint: Option<String>,
        trusted: Option<Vec<u8>>,
    ) -> Result<Self, NoCertificates> {
        let Some(endpoint) = endpoint else {
            return Ok(Self::to_amazon(region, profile).await);
        };
        if profile.is_none() && endpoint.starts_with("http://") {
            return Self::to_endpoint(endpoint, region, trusted).await;
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let certificates = trust(&mut loader, trusted)?;
        Ok(Self { sdk: loader.load().await, endpoint: Some(endpoint), trusted: certificates })
    }

    /// Whether there is no endpoint in Amazon's place.
    pub fn is_to_amazon(&self) -> bool {
        self.endpoint.is_none()
    }

    /// The region that calls are signed for, where one was found.
    pub fn region(&self) -> Option<&str> {
        self.sdk.region().map(Region::as_ref)
    }

    /// What clients of other services are made from: region, credentials, and what is trusted.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.sdk
    }

    /// The same, in another region.
    pub fn in_region(&self, region: &str) -> Self {
        let sdk = self.sdk.to_builder().region(Region::new(region.to_owned())).build();
        Self { sdk, endpoint: self.endpoint.clone(), trusted: self.trusted.clone() }
    }

    /// The same as a role, of this account or of another one: STS gives credentials for it when they are needed, and
    /// new ones before they expire. Nothing is contacted yet.
    pub async fn as_role(&self, arn: &str, external_id: Option<&str>) -> Self {
        let mut role =
            AssumeRoleProvider::builder(arn).session_name(SESSION_NAME).configure(&self.sdk);
        if let Some(id) = external_id {
            role = role.external_id(id);
        }
        let role = SharedCredentialsProvider::new(role.build().await);
        let sdk = self.sdk.to_builder().credentials_provider(role).build();
        Self { sdk, endpoint: self.endpoint.clone(), trusted: self.trusted.clone() }
    }

    /// The same, at another endpoint that speaks the API.
    pub fn at_endpoint(&self, endpoint: String) -> Self {
        Self { endpoint: Some(endpoint), ..self.clone() }
    }
}
