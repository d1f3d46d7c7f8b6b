//! RegisterStreamConsumer: a consumer with enhanced fan-out. The service answers CREATING, so this
//! does too; it is ACTIVE for whoever asks next.

use baikonur_stream::{StreamChange, StreamName, Tags};

use crate::kinesis::Kinesis;
use crate::kinesis::consumers::ConsumerShape;
use crate::wire::constraint::{ARN_LENGTH, NAME, NAME_LENGTH, Required, STREAM_ARN};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::output::output;
use crate::wire::structure::structure;
use crate::wire::texts::{TAG_COUNT, TAGS, TextMap};

structure! {
    pub(crate) struct Request<'a> {
        stream_arn: Text<'a> = "StreamARN" [Required, ARN_LENGTH, STREAM_ARN],
        name: Text<'a> = "ConsumerName" [Required, NAME_LENGTH, NAME],
        tags: TextMap = "Tags" [TAG_COUNT, TAGS],
    }
}

pub(crate) struct Call {
    stream: StreamName,
    name: String,
    tags: Tags,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let stream = kinesis.home.stream(None, request.stream_arn.as_ref())?;
    let tags = request.tags.map(|tags| tags.0).unwrap_or_default();
    kinesis.home.check_tags(tags.iter().flat_map(|(k, v)| [k, v]), &stream, "add")?;
    let name = request.name.map(|name| name.as_str().to_owned()).unwrap_or_default();
    Ok(Call { stream, name, tags })
}

output! {
    pub(crate) struct Output {
        consumer: ConsumerShape = "Consumer",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { stream, name, tags } = call;
    let change = StreamChange::RegisterConsumer { name: name.clone(), tags };
    let after = kinesis.change(&stream, change).await?;
    let home = &kinesis.home;
    let registered = after.consumers.get(&name).ok_or_else(|| home.consumer_not_found(&name))?;
    let shape = ConsumerShape::of(home, &stream, &name, registered);
    Ok(Output { consumer: ConsumerShape { status: "CREATING", ..shape } })
}
