//! Streams where the source is not: in another region or account, at another endpoint, or as another role.

use std::sync::Arc;

use async_trait::async_trait;
use baikonur_kinesis::{AmazonKinesis, Connection, Producer};
use baikonur_modules::forward::Elsewhere;
use baikonur_stream::{
    Placed, ProducerPosition, PutEntry, PutError, SequenceNumber, StreamName, Write,
};
use tokio::sync::OnceCell;
use tracing::info;

/// The streams of `place`. `here` is where the source is, if that is no embedded stream: what the place does not say is as
/// it is there. Nothing is contacted yet.
pub fn elsewhere(place: Elsewhere, here: Option<Connection>, strict_order: bool) -> Arc<dyn Write> {
    Arc::new(Distant { place, here, strict_order, producer: OnceCell::new() })
}

/// Puts through `connection`.
pub fn producer(connection: &Connection, strict_order: bool) -> Producer {
    Producer::new(&AmazonKinesis::new(connection)).in_strict_order(strict_order)
}

/// Streams elsewhere; connected when something is put there for the first time.
struct Distant {
    place: Elsewhere,
    /// Where the source is, if that is no embedded stream: what the place does not say is as it is there.
    here: Option<Connection>,
    strict_order: bool,
    producer: OnceCell<Producer>,
}

impl Distant {
    async fn producer(&self) -> Result<&Producer, PutError> {
        let connect = async || {
            let connection = self.connect().await?;
            let region = connection.region().unwrap_or_default();
            info!(region, endpoint = ?self.place.endpoint_url, role = ?self.place.role_arn, "a target is elsewhere");
            Ok(producer(&connection, self.strict_order))
        };
        self.producer.get_or_try_init(connect).await
    }

    async fn connect(&self) -> Result<Connection, PutError> {
        let Elsewhere { region, endpoint_url, role_arn, external_id } = self.place.clone();
        let connection = match &self.here {
            None => Connection::to_service(region, None, endpoint_url, None)
                .await
                .map_err(|error| PutError::Unavailable(error.to_string()))?,
            Some(here) => {
                let there = region.map_or_else(|| here.clone(), |region| here.in_region(&region));
                endpoint_url.map_or(there.clone(), |endpoint| there.at_endpoint(endpoint))
            }
        };
        if connection.region().is_none() {
            let what =
                "no region is known: set target_region, AWS_REGION, or the region of a profile";
            return Err(PutError::Unavailable(what.to_owned()));
        }
        Ok(match &role_arn {
            None => connection,
            Some(arn) => connection.as_role(arn, external_id.as_deref()).await,
        })
    }
}

#[async_trait]
impl Write for Distant {
    async fn put(
        &self,
        stream: &StreamName,
        entries: Vec<PutEntry>,
        remember: Option<ProducerPosition>,
    ) -> Result<Vec<Result<Placed, PutError>>, PutError> {
        self.producer().await?.put(stream, entries, remember).await
    }

    async fn remembered(&self, producer: &str) -> Result<Option<SequenceNumber>, PutError> {
        self.producer().await?.remembered(producer).await
    }
}
