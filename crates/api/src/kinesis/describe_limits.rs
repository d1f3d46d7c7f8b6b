//! DescribeLimits: how many shards and streams there are, and may be.

use baikonur_stream::StreamMode;

use crate::kinesis::Kinesis;
use crate::limits::{ON_DEMAND_STREAMS_MAX, SHARDS_MAX};
use crate::wire::error::ApiError;
use crate::wire::output::output;

/// There are no members, and as everywhere others are ignored.
pub(crate) use crate::kinesis::stream_id::Member as Request;

pub(crate) fn translate(_: Request<'_>, _: &Kinesis) -> Result<(), ApiError> {
    Ok(())
}

output! {
    pub(crate) struct Output {
        on_demand: usize = "OnDemandStreamCount",
        on_demand_limit: u32 = "OnDemandStreamCountLimit",
        open_shards: usize = "OpenShardCount",
        shard_limit: u32 = "ShardLimit",
    }
}

pub(crate) async fn answer(_: (), kinesis: &Kinesis) -> Result<Output, ApiError> {
    let names = kinesis.streams.administer.list_streams(&kinesis.home.owner).await;
    let names = names.map_err(|error| kinesis.home.administer_failure(&error))?;
    let (mut open_shards, mut on_demand) = (0, 0);
    for name in names {
        // One that is deleted meanwhile counts no more.
        if let Ok(stream) = kinesis.streams.administer.describe_stream(&name).await {
            open_shards += stream.open_shards().count();
            on_demand += usize::from(stream.properties.mode == StreamMode::OnDemand);
        }
    }
    let (shard_limit, on_demand_limit) = (SHARDS_MAX, ON_DEMAND_STREAMS_MAX);
    Ok(Output { on_demand, on_demand_limit, open_shards, shard_limit })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinesis::testing::World;

    #[tokio::test]
    async fn open_shards_and_on_demand_streams_are_counted() {
        let world = World::with_stream("s", 3).await;
        let create = r#"{"StreamName":"t","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}"#;
        world.call("CreateStream", create).await.unwrap();
        assert_eq!(
            world.call("DescribeLimits", "{}").await.unwrap(),
            json!({
                "ShardLimit": 20000, "OpenShardCount": 7,
                "OnDemandStreamCount": 1, "OnDemandStreamCountLimit": 50,
            })
        );
    }
}
