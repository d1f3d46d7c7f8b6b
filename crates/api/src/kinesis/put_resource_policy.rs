//! PutResourcePolicy: the policy of a stream or of a consumer, kept and told. Nothing is decided by
//! it: who has a key of an account may do everything in it.

use baikonur_stream::StreamChange;

use crate::kinesis::Kinesis;
use crate::kinesis::resource::Resource;
use crate::limits::POLICY_BYTES_MAX;
use crate::wire::constraint::{ARN_LENGTH, RESOURCE_ARN, Required};
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::json::is_json;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Request<'a> {
        arn: Text<'a> = "ResourceARN" [Required, ARN_LENGTH, RESOURCE_ARN],
        policy: Text<'a> = "Policy" [Required],
    }
}

pub(crate) struct Call {
    resource: Resource,
    policy: String,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let resource = kinesis.home.named_resource(request.arn.as_ref())?;
    let policy = request.policy.map(|policy| policy.as_str().to_owned()).unwrap_or_default();
    if policy.len() > POLICY_BYTES_MAX {
        let message = format!("A policy has at most {POLICY_BYTES_MAX} bytes.");
        return Err(ApiError::new(ErrorCode::LimitExceeded, message));
    }
    if !policy.trim_start().starts_with('{') || !is_json(policy.as_bytes()) {
        return Err(ApiError::invalid_argument("The policy is not a JSON document."));
    }
    Ok(Call { resource, policy })
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<(), ApiError> {
    kinesis.present(&call.resource).await?;
    let stream = call.resource.stream.clone();
    let change = StreamChange::Policy(call.resource.of(), Some(call.policy));
    kinesis.change(&stream, change).await.map(|_| ())
}
