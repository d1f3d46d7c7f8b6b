//! What operations that change a stream have in common.

use baikonur_stream::{StreamChange, StreamDescription, StreamName};

use crate::kinesis::Kinesis;
use crate::wire::error::ApiError;

impl Kinesis {
    /// A stream that is there.
    pub(crate) async fn describe(
        &self,
        stream: &StreamName,
    ) -> Result<StreamDescription, ApiError> {
        let described = self.streams.administer.describe_stream(stream).await;
        described.map_err(|error| self.home.administer_failure(&error))
    }

    /// A stream as it is after a change.
    pub(crate) async fn change(
        &self,
        stream: &StreamName,
        change: StreamChange,
    ) -> Result<StreamDescription, ApiError> {
        let changed = self.streams.administer.change_stream(stream, change).await;
        changed.map_err(|error| self.home.administer_failure(&error))
    }
}
