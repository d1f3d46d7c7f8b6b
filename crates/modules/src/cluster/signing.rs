//! Signatures (Signature Version 4) for Amazon's managed services, with credentials that are renewed before they expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use baikonur_stream::Clock;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Mutex, OnceCell};

use super::amazon::AwsService;

/// Credentials are asked for again this long before they expire.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// Who this process is to Amazon.
pub struct AmazonIdentity {
    /// Gives credentials; asked again before they expire.
    pub credentials: SharedCredentialsProvider,
    /// The region that the environment or the profile names.
    pub region: Option<String>,
}

/// Where an identity comes from: the binary knows.
#[async_trait]
pub trait Amazon: Send + Sync + 'static {
    /// The identity, asked for once, before the first request. None when there is no way to credentials.
    async fn identity(&self) -> Option<AmazonIdentity>;
}

/// Signs the requests of one cluster.
pub(super) struct Signer {
    service: AwsService,
    region: Option<String>,
    amazon: Arc<dyn Amazon>,
    clock: Arc<dyn Clock>,
    identity: OnceCell<AmazonIdentity>,
    credentials: Mutex<Option<Credentials>>,
}

/// What is signed.
pub(super) struct Unsigned<'r> {
    pub(super) method: &'r str,
    pub(super) url: &'r str,
    /// Those that the server must get as they are; the host is added.
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r [u8],
}

impl Signer {
    pub(super) fn new(
        service: AwsService,
        region: Option<String>,
        amazon: Arc<dyn Amazon>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (identity, credentials) = (OnceCell::new(), Mutex::new(None));
        Self { service, region, amazon, clock, identity, credentials }
    }

    pub(super) fn service(&self) -> AwsService {
        self.service
    }

    /// The headers that make `request` a signed one, and the credentials that did.
    ///
    /// # Errors
    /// What is missing, in a sentence.
    pub(super) async fn sign(
        &self,
        request: &Unsigned<'_>,
    ) -> Result<(HeaderMap, Credentials), String> {
        let credentials = self.credentials().await?;
        let region = match &self.region {
            Some(region) => region,
            None => self.identity().await?.region.as_ref().ok_or(
                "the region to sign for is not known: set `aws_region`, or AWS_REGION in the environment",
            )?,
        };
        let headers = signed(request, credentials.clone(), region, self.service, self.now())
            .map_err(|what| format!("the request cannot be signed: {what}"))?;
        Ok((headers, credentials))
    }

    /// Forgets credentials that the service does not take (any more). False when those that the next request would get
    /// are the same.
    pub(super) async fn renew(&self, refused: &Credentials) -> bool {
        let mut kept = self.credentials.lock().await;
        let is_same = |credentials: &Credentials| {
            credentials.access_key_id() == refused.access_key_id()
                && credentials.session_token() == refused.session_token()
        };
        if kept.as_ref().is_some_and(|credentials| !is_same(credentials)) {
            return true;
        }
        match self.ask().await {
            Ok(credentials) => {
                let is_new = !is_same(&credentials);
                *kept = Some(credentials);
                is_new
            }
            Err(_) => false,
        }
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let mut kept = self.credentials.lock().await;
        let now = self.now();
        let lasts = |credentials: &Credentials, time| {
            credentials.expiry().is_none_or(|expiry| expiry > now + time)
        };
        if let Some(credentials) = kept.as_ref().filter(|kept| lasts(kept, RENEWED_BEFORE)) {
            return Ok(credentials.clone());
        }
        match self.ask().await {
            Ok(credentials) => Ok(kept.insert(credentials).clone()),
            // Who gives credentials may be away for a moment.
            Err(what) => match kept.as_ref().filter(|kept| lasts(kept, Duration::ZERO)) {
                Some(credentials) => Ok(credentials.clone()),
                None => Err(what),
            },
        }
    }

    async fn ask(&self) -> Result<Credentials, String> {
        let provider = &self.identity().await?.credentials;
        let given = provider.provide_credentials().await;
        given.map_err(|error| format!("no credentials to sign with: {}", super::chain(&error)))
    }

    async fn identity(&self) -> Result<&AmazonIdentity, String> {
        let ask = || async {
            let identity = self.amazon.identity().await;
            identity.ok_or_else(|| "no credentials to sign with were found".to_owned())
        };
        self.identity.get_or_try_init(ask).await
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.clock.now().millis())
    }
}

fn signed(
    request: &Unsigned<'_>,
    credentials: Credentials,
    region: &str,
    service: AwsService,
    time: SystemTime,
) -> Result<HeaderMap, String> {
    let mut settings = SigningSettings::default();
    // OpenSearch Serverless demands the header, and domains take it.
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.signing_name())
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let headers = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.url, headers, body)
        .map_err(|error| super::chain(&error))?;
    let (instructions, _) =
        sign(signable, &params).map_err(|error| super::chain(&error))?.into_parts();
    let mut headers = HeaderMap::new();
    for header in instructions.into_parts().0 {
        let name = HeaderName::from_static(header.name());
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| error.to_string())?;
        value.set_sensitive(header.sensitive());
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use baikonur_stream::Timestamp;
    use reqwest::header::CONTENT_TYPE;

    use super::*;

    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    /// Gives `AKID1`, then `AKID2`, each for an hour of the clock.
    #[derive(Debug)]
    struct Counting {
        given: AtomicU64,
        fails_after: u64,
        lasts_until: u64,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(
            &'a self,
        ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            use aws_credential_types::provider::{error::CredentialsError, future};
            let number = 1 + self.given.fetch_add(1, Ordering::Relaxed);
            if number > self.fails_after {
                return future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
                    "away",
                )));
            }
            let expiry = UNIX_EPOCH + Duration::from_secs(self.lasts_until * number);
            let (key, token) = (format!("AKID{number}"), Some("token".to_owned()));
            let credentials = Credentials::new(key, "secret", token, Some(expiry), "test");
            future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    struct Identities(Arc<Counting>);

    #[async_trait]
    impl Amazon for Identities {
        async fn identity(&self) -> Option<AmazonIdentity> {
            let provider: Arc<dyn ProvideCredentials> = Arc::<Counting>::clone(&self.0);
            let credentials = SharedCredentialsProvider::new(provider);
            Some(AmazonIdentity { credentials, region: None })
        }
    }

    fn signer(fails_after: u64, region: Option<&str>) -> (Signer, Arc<SetClock>) {
        let clock = Arc::new(SetClock(AtomicU64::new(0)));
        let counting = Counting { given: AtomicU64::new(0), fails_after, lasts_until: 3600 };
        let amazon = Arc::new(Identities(Arc::new(counting)));
        let region = region.map(str::to_owned);
        let signer = Signer::new(AwsService::Aoss, region, amazon, Arc::<SetClock>::clone(&clock));
        (signer, clock)
    }

    async fn sign_with(signer: &Signer) -> Result<Credentials, String> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("a/b"))]);
        let url = "https://x.example.com/_bulk?filter_path=a,b.*";
        let request = Unsigned { method: "POST", url, headers: &headers, body: b"{}\n" };
        let (headers, credentials) = signer.sign(&request).await?;
        let key = credentials.access_key_id();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.contains(&format!("Credential={key}/")), "{authorization}");
        assert!(authorization.contains("/eu-west-1/aoss/aws4_request"), "{authorization}");
        let signed =
            "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        assert!(authorization.contains(signed), "{authorization}");
        Ok(credentials)
    }

    async fn key(signer: &Signer) -> Result<String, String> {
        sign_with(signer).await.map(|credentials| credentials.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_kept_and_renewed_before_they_expire() {
        let (signer, clock) = signer(2, Some("eu-west-1"));
        assert_eq!(key(&signer).await.unwrap(), "AKID1");
        clock.0.store(3200, Ordering::Relaxed);
        assert_eq!(key(&signer).await.unwrap(), "AKID1");
        clock.0.store(3400, Ordering::Relaxed);
        assert_eq!(key(&signer).await.unwrap(), "AKID2");
        // Nobody gives new ones: the old ones are good until their last second.
        clock.0.store(7100, Ordering::Relaxed);
        assert_eq!(key(&signer).await.unwrap(), "AKID2");
        clock.0.store(7200, Ordering::Relaxed);
        assert!(key(&signer).await.unwrap_err().starts_with("no credentials to sign with"));
    }

    #[tokio::test]
    async fn credentials_that_are_not_taken_are_asked_for_again() {
        let (signer, _) = signer(2, Some("eu-west-1"));
        let first = sign_with(&signer).await.unwrap();
        assert!(signer.renew(&first).await);
        let second = sign_with(&signer).await.unwrap();
        assert_eq!((first.access_key_id(), second.access_key_id()), ("AKID1", "AKID2"));
        // Another shard's request was refused at the same time.
        assert!(signer.renew(&first).await);
        assert_eq!(key(&signer).await.unwrap(), "AKID2");
        assert!(!signer.renew(&second).await);
    }

    #[tokio::test]
    async fn without_a_region_nothing_is_signed() {
        let (signer, _) = signer(1, None);
        assert!(key(&signer).await.unwrap_err().contains("`aws_region`"));
    }

    /// Computed by botocore 1.44.8 (`SigV4Auth`), with `X-Amz-Content-SHA256` set as for S3.
    #[test]
    fn a_signature_is_the_one_of_botocore() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let headers = HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        )]);
        let url =
            "https://x.eu-west-1.es.amazonaws.com/_bulk?filter_path=errors%2Citems.%2A.status";
        let request = Unsigned { method: "POST", url, headers: &headers, body: b"{}\n" };
        let time = UNIX_EPOCH + Duration::from_secs(1_735_787_045);
        let headers = signed(&request, credentials, "eu-west-1", AwsService::Es, time).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        let signature = authorization.rsplit_once("Signature=").unwrap().1;
        assert_eq!(signature, "c971b601d75e408bd1694b2d0b0263b20036ebff0ccbcec64f23e08767a8b271");
    }
}
