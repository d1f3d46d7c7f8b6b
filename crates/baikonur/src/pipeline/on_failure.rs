//! On-failure destinations of modules: queues and topics of Amazon, joined with the messages that a failed store tells.

use std::sync::Arc;

use async_trait::async_trait;
use baikonur_api::ServerSettings;
use baikonur_kinesis::{Connection, Queues, Topics};
use baikonur_modules::failed_store::on_failure::{
    Destination, Home, Messages, OnFailurePlace, QueueUrl, TellingFailedStore,
};
use baikonur_modules::objects;
use baikonur_stream::{Clock, FailedStore};
use tokio::sync::OnceCell;

use crate::config::{ModuleConfig, Problem};

/// `store`, telling the module's on-failure destination if it has one. Nothing is contacted before there is a message.
///
/// # Errors
/// Settings that cannot work.
pub(super) fn telling(
    store: Arc<dyn FailedStore>,
    config: &ModuleConfig,
    server: &ServerSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn FailedStore>, Problem> {
    let destination = match config.on_failure.clone() {
        None => return Ok(store),
        Some(OnFailurePlace::Queue(queue)) => {
            Destination::Messages(Arc::new(SqsQueue { queue, client: OnceCell::new() }))
        }
        Some(OnFailurePlace::Topic { arn, region }) => {
            Destination::Messages(Arc::new(SnsTopic { arn, region, client: OnceCell::new() }))
        }
        Some(OnFailurePlace::Objects(location)) => {
            Destination::Objects(objects::open(&location, &config.s3)?)
        }
    };
    let home = Home { region: server.region.clone(), account: server.account.clone() };
    let (clock, name) = (Arc::clone(clock), config.name.as_str());
    Ok(Arc::new(TellingFailedStore::new(store, destination, home, clock, name)))
}

struct SqsQueue {
    queue: QueueUrl,
    client: OnceCell<Queues>,
}

#[async_trait]
impl Messages for SqsQueue {
    async fn send(&self, message: &str) -> Result<(), String> {
        let QueueUrl { url, region, endpoint } = &self.queue;
        let connect = || async {
            let connection = Connection::to_amazon(region.clone(), None).await;
            Queues::new(&connection, endpoint.as_deref())
        };
        let sent = self.client.get_or_init(connect).await.send(url, message).await;
        sent.map_err(|error| format!("no message to the queue {url}: {error}"))
    }
}

struct SnsTopic {
    arn: String,
    region: String,
    client: OnceCell<Topics>,
}

#[async_trait]
impl Messages for SnsTopic {
    async fn send(&self, message: &str) -> Result<(), String> {
        let connect =
            || async { Topics::new(&Connection::to_amazon(Some(self.region.clone()), None).await) };
        let topics = self.client.get_or_init(connect).await;
        let sent = topics.publish(&self.arn, None, message).await;
        sent.map_err(|error| format!("no message to the topic {}: {error}", self.arn))
    }
}
