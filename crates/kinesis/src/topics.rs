//! Messages to topics of Amazon SNS.

use aws_sdk_sns::Client;
use aws_sdk_sns::error::DisplayErrorContext;

use crate::connect::Connection;

/// A client of Amazon SNS.
#[derive(Debug, Clone)]
pub struct Topics {
    client: Client,
}

impl Topics {
    /// Topics of the region of `connection`. Nothing is contacted yet.
    pub fn new(connection: &Connection) -> Self {
        Self { client: Client::new(&connection.sdk) }
    }

    /// Sends a message to the topic with this ARN; `subject` is what those see who get it as an e-mail.
    ///
    /// # Errors
    /// What the service says.
    pub async fn publish(
        &self,
        topic: &str,
        subject: Option<&str>,
        message: &str,
    ) -> Result<(), String> {
        let call = self.client.publish().topic_arn(topic).message(message);
        let call = call.set_subject(subject.map(str::to_owned));
        call.send().await.map(drop).map_err(|error| DisplayErrorContext(error).to_string())
    }
}
