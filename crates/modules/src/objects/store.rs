//! Destinations through the `object_store` crate, with errors that say what to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    RetryConfig,
};

use super::{
    InvalidDestination, Location, ObjectDestination, ObjectError, ObjectProperties, ObjectSource,
    Piece, PutMode, S3Settings, parts, unpacked_for,
};

/// An upload that takes longer is given up and started again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Retries within a call, for what passes by itself; the mapping does the others, and tells of them.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Objects larger than this are sent in parts: one that is lost is sent again alone.
const IN_PARTS_BYTES: usize = 32 << 20;

/// Opens a destination. Nothing is sent and no folder is made yet.
///
/// # Errors
/// Settings that cannot work.
pub fn open(
    location: &Location,
    s3: &S3Settings,
) -> Result<Arc<dyn ObjectDestination>, InvalidDestination> {
    open_with(location, s3, ObjectProperties::default())
}

/// As [`open`]; all objects that are put get `properties`.
///
/// # Errors
/// Settings that cannot work.
pub fn open_with(
    location: &Location,
    s3: &S3Settings,
    properties: ObjectProperties,
) -> Result<Arc<dyn ObjectDestination>, InvalidDestination> {
    Ok(Arc::new(Store { properties, ..Store::open(location, s3)? }))
}

/// Opens a place to go through what is there.
///
/// # Errors
/// Settings that cannot work.
pub fn open_source(
    location: &Location,
    s3: &S3Settings,
) -> Result<Arc<dyn ObjectSource>, InvalidDestination> {
    Ok(Arc::new(Store::open(location, s3)?))
}

fn bucket_store(bucket: &str, s3: &S3Settings) -> Result<AmazonS3Builder, InvalidDestination> {
    let options =
        ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(options)
        .with_retry(retry)
        .with_bucket_name(bucket);
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    // An endpoint of the environment keeps to the rules of the setting, which goes before it.
    let of_environment = || {
        let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
        keys.iter().find_map(|key| builder.get_config_value(key))
    };
    let endpoint = s3.endpoint.clone().or_else(of_environment);
    let s3 = &S3Settings { endpoint, ..s3.clone() };
    if let Some((endpoint, http)) = s3.checked_endpoint()? {
        let endpoint = s3.bucket_endpoint(endpoint, bucket);
        // Of the two keys this one counts.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        builder = builder.with_allow_http(http);
    }
    if let Some(path_style) = s3.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    Ok(s3.protect(builder))
}

#[derive(Clone)]
pub(super) struct Store {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    shown: String,
    /// None for a bucket.
    pub(super) folder: Option<PathBuf>,
    properties: ObjectProperties,
}

impl Store {
    pub(super) fn open(location: &Location, s3: &S3Settings) -> Result<Self, InvalidDestination> {
        let client_error = |error: &dyn std::fmt::Display| InvalidDestination::Client {
            shown: location.to_string(),
            why: error.to_string(),
        };
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match location {
            Location::S3 { bucket, prefix } => {
                let store =
                    bucket_store(bucket, s3)?.build().map_err(|error| client_error(&error))?;
                (Arc::new(store), Path::parse(prefix))
            }
            Location::Folder(folder) => {
                // From the root on, so that the folder itself is made, durably, when it is needed.
                let store = LocalFileSystem::new().with_fsync(true);
                (Arc::new(store), Path::from_absolute_path(folder))
            }
        };
        let prefix = prefix.map_err(|error| client_error(&error))?;
        let folder = match location {
            Location::Folder(folder) => Some(folder.clone()),
            Location::S3 { .. } => None,
        };
        let properties = ObjectProperties::default();
        Ok(Self { store, prefix, shown: location.to_string(), folder, properties })
    }

    pub(super) fn path(&self, key: &str) -> Result<Path, ObjectError> {
        let path = match self.prefix.as_ref() {
            "" => Path::parse(key),
            prefix => Path::parse(format!("{prefix}/{key}")),
        };
        path.map_err(|error| ObjectError::Unavailable(format!("{key:?} is no key: {error}")))
    }

    pub(super) fn explained(&self, doing: &str, key: &str, error: &Error) -> ObjectError {
        let text = error.to_string();
        let url = self.url(key);
        let what = match (element(&text, "Code"), element(&text, "Message")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => text.clone(),
        };
        let hint = match element(&text, "Code") {
            Some("NoSuchBucket") => "; create the bucket, or correct the destination",
            Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken") => {
                "; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
            }
            // What is sent is the same at the next try.
            Some("KeyTooLongError") => {
                "; it will be refused at every try, and the shard waits: shorten the prefix of the destination or \
                 key_layout"
            }
            Some("InvalidArgument" | "InvalidRequest") => {
                "; it will be refused at every try, and the shard waits: mend the settings of the destination, or the \
                 server's"
            }
            Some("PermanentRedirect" | "AuthorizationHeaderMalformed") => "; check the region",
            _ if is_forbidden(error) && doing == "list" => {
                "; the credentials have to allow s3:ListBucket"
            }
            _ if is_forbidden(error) => {
                "; the credentials have to allow s3:PutObject and s3:GetObject"
            }
            _ => "",
        };
        let explained = format!("cannot {doing} {url}: {what}{hint}");
        if is_forbidden(error) {
            ObjectError::Forbidden(explained)
        } else {
            ObjectError::Unavailable(explained)
        }
    }

    /// What is said of an object that is put.
    pub(super) fn put_options(&self, mode: object_store::PutMode) -> PutOptions {
        let mut options = PutOptions { mode, ..PutOptions::default() };
        if self.folder.is_none() {
            options.attributes = self.properties.attributes();
            options.tags = self.properties.tag_set();
        }
        options
    }

    async fn put_in_parts(&self, key: &str, content: Vec<Piece>) -> Result<(), ObjectError> {
        let mut options = PutMultipartOptions::default();
        if self.folder.is_none() {
            options.attributes = self.properties.attributes();
            options.tags = self.properties.tag_set();
        }
        let path = self.path(key)?;
        parts::put(&*self.store, &path, content, parts::PART_BYTES, options)
            .await
            .map_err(|error| self.not_put(key, &error))
    }

    /// Why an object was not put.
    pub(super) fn not_put(&self, key: &str, error: &Error) -> ObjectError {
        match error {
            Error::AlreadyExists { .. } | Error::Precondition { .. } => ObjectError::Exists,
            Error::NotImplemented { .. } | Error::NotSupported { .. } => ObjectError::NoCreate,
            error if element(&error.to_string(), "Code") == Some("NotImplemented") => {
                ObjectError::NoCreate
            }
            error => self.explained("write", key, error),
        }
    }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
}

/// The text of an element in an S3 error document.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

#[async_trait]
impl ObjectDestination for Store {
    async fn head(&self, key: &str, bytes_max: usize) -> Result<Option<Bytes>, ObjectError> {
        let options = GetOptions::default().with_range(Some(0..bytes_max as u64));
        let result = match self.store.get_opts(&self.path(key)?, options).await {
            Ok(object) => object.bytes().await,
            Err(error) => Err(error),
        };
        match result {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            // An object of no bytes has no first ones.
            Err(error) if is_empty_range(&error) => Ok(Some(Bytes::new())),
            Err(error) => Err(self.explained("read", key, &error)),
        }
    }

    async fn put(&self, key: &str, content: Vec<Bytes>, mode: PutMode) -> Result<(), ObjectError> {
        let bytes: usize = content.iter().map(Bytes::len).sum();
        // A folder takes a whole file as fast, and a condition goes with one request only.
        if mode == PutMode::Overwrite && self.folder.is_none() && bytes > IN_PARTS_BYTES {
            return self.put_in_parts(key, content.into_iter().map(Piece::Plain).collect()).await;
        }
        let payload = PutPayload::from_iter(content);
        let mode = match mode {
            PutMode::Create => object_store::PutMode::Create,
            PutMode::Overwrite => object_store::PutMode::Overwrite,
        };
        let options = self.put_options(mode);
        match self.store.put_opts(&self.path(key)?, payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.not_put(key, &error)),
        }
    }

    async fn put_pieces(&self, key: &str, content: Vec<Piece>) -> Result<(), ObjectError> {
        let bytes: usize = content.iter().map(Piece::content_bytes).sum();
        if bytes > IN_PARTS_BYTES
            && content.iter().any(|piece| matches!(piece, Piece::Packed { .. }))
        {
            return self.put_in_parts(key, content).await;
        }
        self.put(key, unpacked_for(self, key, content)?, PutMode::Overwrite).await
    }

    fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.shown)
    }
}

/// The first is what a server says, the second what the crate says of a file.
fn is_empty_range(error: &Error) -> bool {
    let text = error.to_string();
    element(&text, "Code") == Some("InvalidRange") || text.ends_with("Requested range was invalid")
}

#[cfg(test)]
mod tests {
    use super::super::piece::Holder;
    use super::*;

    fn folder(path: &std::path::Path) -> Arc<dyn ObjectDestination> {
        open(&Location::Folder(path.to_owned()), &S3Settings::default()).unwrap()
    }

    #[tokio::test]
    async fn a_folder_is_made_when_it_is_needed_and_objects_are_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("not yet/there");
        let destination = folder(&root);
        assert!(!root.exists());
        let key = "a%2Fb/2015-05/17/2015-05-17-10:05:03-x%3Ay.gz";
        assert_eq!(destination.head(key, 100).await, Ok(None));
        let content = || vec![Bytes::from_static(b"one "), Bytes::from_static(b"two")];
        assert_eq!(destination.put(key, content(), PutMode::Create).await, Ok(()));
        assert_eq!(
            destination.put(key, content(), PutMode::Create).await,
            Err(ObjectError::Exists)
        );
        assert_eq!(std::fs::read(root.join(key)).unwrap(), b"one two");
        assert_eq!(destination.head(key, 3).await.unwrap().unwrap(), "one");
        assert_eq!(destination.head(key, 100).await.unwrap().unwrap(), "one two");
        let other = vec![Bytes::from_static(b"3")];
        assert_eq!(destination.put(key, other, PutMode::Overwrite).await, Ok(()));
        assert_eq!(std::fs::read(root.join(key)).unwrap(), b"3");
        let folder = root.join(key).parent().unwrap().to_owned();
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing temporary is left");
    }

    #[tokio::test]
    async fn what_is_held_packed_is_written_as_it_is() {
        let temporary = tempfile::tempdir().unwrap();
        let destination = folder(temporary.path());
        let mut holder = Holder::new();
        let blocks: Vec<_> = (b'a'..b'g').map(|byte| vec![byte; 9 << 20]).collect();
        for count in [1, blocks.len()] {
            let content = blocks[..count].iter().map(|block| holder.hold(block)).collect();
            assert_eq!(destination.put_pieces("a/b", content).await, Ok(()));
            let written = std::fs::read(temporary.path().join("a/b")).unwrap();
            assert!(written == blocks[..count].concat());
        }
        assert_eq!(std::fs::read_dir(temporary.path().join("a")).unwrap().count(), 1);
        let damaged =
            Piece::Packed { frame: Bytes::from_static(b"no frame"), content_bytes: 64 << 20 };
        let error = destination.put_pieces("a/c", vec![damaged]).await.unwrap_err();
        assert!(error.to_string().contains("a/c"), "{error}");
        assert_eq!(destination.head("a/c", 1).await, Ok(None));
    }

    #[tokio::test]
    async fn an_empty_object_is_an_object() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("empty"), b"").unwrap();
        let head = folder(temporary.path()).head("empty", 100).await;
        assert_eq!(head, Ok(Some(Bytes::new())));
    }

    #[tokio::test]
    async fn failures_name_the_object() {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("file"), b"").unwrap();
        let destination = folder(temporary.path());
        let error = destination.put("file/x", Vec::new(), PutMode::Create).await.unwrap_err();
        assert!(error.to_string().contains("file/x"), "{error}");
    }

    #[test]
    fn an_answer_of_s3_is_explained() {
        let error = |code: &str| Error::NotFound {
            path: "k".to_owned(),
            source: format!(
                "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\
                 <Error><Code>{code}</Code><Message>The bucket does not exist</Message></Error>"
            )
            .into(),
        };
        let store = Store {
            store: Arc::new(LocalFileSystem::new()),
            prefix: Path::default(),
            shown: "s3://logs".to_owned(),
            folder: None,
            properties: ObjectProperties::default(),
        };
        assert_eq!(
            store.explained("write", "k", &error("NoSuchBucket")).to_string(),
            "cannot write s3://logs/k: NoSuchBucket: The bucket does not exist; create the bucket, or correct the \
             destination"
        );
        for (code, hint) in [
            ("KeyTooLongError", "refused at every try, and the shard waits: shorten the prefix"),
            ("InvalidArgument", "refused at every try, and the shard waits: mend the settings"),
        ] {
            let text = store.explained("write", "k", &error(code)).to_string();
            assert!(text.contains(code) && text.contains(hint), "{text}");
        }
    }
}
