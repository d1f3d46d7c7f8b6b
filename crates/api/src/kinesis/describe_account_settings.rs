//! DescribeAccountSettings: what the account has agreed to.

use std::time::Duration;

use baikonur_stream::{BillingCommitment, Timestamp};

use crate::kinesis::Kinesis;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::output::output;

/// There are no members, and as everywhere others are ignored.
pub(crate) use crate::kinesis::stream_id::Member as Request;

pub(crate) fn translate(_: Request<'_>, _: &Kinesis) -> Result<(), ApiError> {
    Ok(())
}

output! {
    /// `MinimumThroughputBillingCommitmentOutput`.
    struct Commitment {
        earliest_end: Option<Timestamp> = "EarliestAllowedEndAt",
        ended: Option<Timestamp> = "EndedAt",
        started: Option<Timestamp> = "StartedAt",
        status: &'static str = "Status",
    }
}

output! {
    pub(crate) struct Output {
        commitment: Commitment = "MinimumThroughputBillingCommitment",
    }
}

/// How long a commitment lasts at least (API text).
pub(super) const COMMITMENT_MIN: Duration = Duration::from_secs(24 * 3600);

impl Output {
    pub(super) fn of(commitment: BillingCommitment, now: Timestamp) -> Self {
        let BillingCommitment { started, ended } = commitment;
        let status = match ended {
            _ if !commitment.holds(now) => "DISABLED",
            None => "ENABLED",
            Some(_) => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        };
        let earliest = |started: Timestamp| started.plus(COMMITMENT_MIN);
        let earliest_end = started.filter(|_| status != "DISABLED").map(earliest);
        Self { commitment: Commitment { earliest_end, ended, started, status } }
    }
}

pub(crate) async fn answer(_: (), kinesis: &Kinesis) -> Result<Output, ApiError> {
    Ok(Output::of(kinesis.commitment().await?, kinesis.streams.clock.now()))
}

impl Kinesis {
    /// What the account has agreed to.
    pub(super) async fn commitment(&self) -> Result<BillingCommitment, ApiError> {
        let commitment = self.streams.administer.commitment(&self.home.owner).await;
        commitment.map_err(|error| self.home.administer_failure(&error))
    }

    /// Refuses what is for accounts with a commitment only.
    pub(crate) async fn must_be_committed(&self) -> Result<(), ApiError> {
        if self.commitment().await?.holds(self.streams.clock.now()) {
            return Ok(());
        }
        let message = "Warm throughput takes MinimumThroughputBillingCommitment to be ENABLED.";
        Err(ApiError::new(ErrorCode::Validation, message))
    }
}
