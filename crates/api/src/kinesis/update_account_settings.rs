//! UpdateAccountSettings: an agreement begun or ended.

use baikonur_stream::BillingCommitment;

use crate::kinesis::Kinesis;
use crate::kinesis::describe_account_settings::{COMMITMENT_MIN, Output};
use crate::wire::constraint::{OneOf, Required};
use crate::wire::error::ApiError;
use crate::wire::members::Text;
use crate::wire::structure::structure;

structure! {
    pub(crate) struct Commitment<'a> {
        status: Text<'a> = "Status" [Required, OneOf(&["ENABLED", "DISABLED"])],
    }
}

structure! {
    pub(crate) struct Request<'a> {
        commitment: Commitment<'a> = "MinimumThroughputBillingCommitment" [Required],
    }
}

/// Whether the agreement holds from now on.
pub(crate) fn translate(request: Request<'_>, _: &Kinesis) -> Result<bool, ApiError> {
    let status = request.commitment.and_then(|commitment| commitment.status);
    Ok(status.is_some_and(|status| status.as_str() == "ENABLED"))
}

pub(crate) async fn answer(enable: bool, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let now = kinesis.streams.clock.now();
    let before = kinesis.commitment().await?;
    let holds = before.started.filter(|_| before.holds(now));
    let after = match (enable, holds) {
        (true, started) => BillingCommitment { started: started.or(Some(now)), ended: None },
        (false, Some(started)) => BillingCommitment {
            started: Some(started),
            ended: before.ended.or(Some(now.max(started.plus(COMMITMENT_MIN)))),
        },
        (false, None) => before,
    };
    let committed = kinesis.streams.administer.commit_to(&kinesis.home.owner, after).await;
    committed.map_err(|error| kinesis.home.administer_failure(&error))?;
    Ok(Output::of(after, now))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::World;

    #[tokio::test]
    async fn an_agreement_lasts_a_day_at_least() {
        let world = World::new();
        let update = async |status: &str| {
            let body =
                format!(r#"{{"MinimumThroughputBillingCommitment":{{"Status":"{status}"}}}}"#);
            world.call("UpdateAccountSettings", &body).await.unwrap()
                ["MinimumThroughputBillingCommitment"]["Status"]
                .clone()
        };
        let status = async || {
            world.call("DescribeAccountSettings", "{}").await.unwrap()
                ["MinimumThroughputBillingCommitment"]["Status"]
                .clone()
        };
        assert_eq!(status().await, "DISABLED");
        assert_eq!(update("ENABLED").await, "ENABLED");
        world.clock.advance(3600);
        assert_eq!(update("DISABLED").await, "ENABLED_UNTIL_EARLIEST_ALLOWED_END");
        assert_eq!(update("ENABLED").await, "ENABLED");
        world.clock.advance(24 * 3600);
        assert_eq!(update("DISABLED").await, "DISABLED");
        assert_eq!(status().await, "DISABLED");
    }
}
