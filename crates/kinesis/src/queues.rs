//! Messages to queues of Amazon SQS.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::error::DisplayErrorContext;

use crate::connect::Connection;

/// A client of Amazon SQS, or of a service that speaks its API.
#[derive(Debug, Clone)]
pub struct Queues {
    client: Client,
}

impl Queues {
    /// Queues of the region of `connection`, at `endpoint` unless they are Amazon's. Nothing is contacted yet.
    pub fn new(connection: &Connection, endpoint: Option<&str>) -> Self {
        let mut config = Builder::from(&connection.sdk);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Self { client: Client::from_conf(config.build()) }
    }

    /// Sends a message to the queue with this URL.
    ///
    /// # Errors
    /// What the service says.
    pub async fn send(&self, queue_url: &str, message: &str) -> Result<(), String> {
        let call = self.client.send_message().queue_url(queue_url).message_body(message);
        call.send().await.map(drop).map_err(|error| DisplayErrorContext(error).to_string())
    }
}
