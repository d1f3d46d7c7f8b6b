//! DisableEnhancedMonitoring: metrics per shard no more kept.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::kinesis::enable_enhanced_monitoring::{Output, answer_with};
use crate::wire::error::ApiError;

pub(crate) use crate::kinesis::enable_enhanced_monitoring::{Call, Request, translate};

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    answer_with(call, StreamChange::DisableMetrics, kinesis).await
}
