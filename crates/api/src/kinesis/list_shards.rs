//! ListShards: shards of a stream, filtered, in pages.

use baikonur_stream::{Shard, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::kinesis::Kinesis;
use crate::kinesis::shapes::ShardShape;
use crate::limits::LIST_SHARDS_MAX;
use crate::wire::constraint::{
    ARN_LENGTH, Length, NAME, NAME_LENGTH, OneOf, Range, Required, STREAM_ARN,
};
use crate::wire::error::ApiError;
use crate::wire::members::{Integer, Moment, Text};
use crate::wire::output::output;
use crate::wire::structure::structure;
use crate::wire::token::TokenKind;

const FILTER_TYPES: &[&str] = &[
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
];

structure! {
    pub(crate) struct FilterRequest<'a> {
        kind: Text<'a> = "Type" [Required, OneOf(FILTER_TYPES)],
        shard_id: Text<'a> = "ShardId" [NAME_LENGTH, NAME],
        timestamp: Moment = "Timestamp" [],
    }
}

structure! {
    pub(crate) struct Request<'a> {
        stream_name: Text<'a> = "StreamName" [NAME_LENGTH, NAME],
        stream_arn: Text<'a> = "StreamARN" [ARN_LENGTH, STREAM_ARN],
        next_token: Text<'a> = "NextToken" [Length(1, 1_048_576)],
        start: Text<'a> = "ExclusiveStartShardId" [NAME_LENGTH, NAME],
        limit: Integer = "MaxResults" [Range(1, 10_000)],
        created: Moment = "StreamCreationTimestamp" [],
        filter: FilterRequest<'a> = "ShardFilter" [],
    }
}

/// `ShardFilter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Filter {
    /// All that are retained. AFTER_SHARD_ID is a start, not a filter.
    FromTrimHorizon,
    AtTrimHorizon,
    AtLatest,
    At(Timestamp),
    From(Timestamp),
}

/// What is asked for, and what a `NextToken` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Query {
    stream: StreamName,
    /// In seconds: of the stream itself, not of another one with its name.
    created: Option<u64>,
    /// Ids after this one, as texts compare: it need not exist.
    after: String,
    filter: Filter,
}

pub(crate) struct Call {
    query: Query,
    limit: usize,
}

pub(crate) fn translate(request: Request<'_>, kinesis: &Kinesis) -> Result<Call, ApiError> {
    let limit = request.limit.map_or(LIST_SHARDS_MAX, |limit| limit.0 as usize);
    let query = match &request.next_token {
        Some(token) => {
            refuse_beside_token(&request)?;
            continued(token.as_str(), kinesis)?
        }
        None => started(&request, kinesis)?,
    };
    Ok(Call { query, limit: limit.min(LIST_SHARDS_MAX) })
}

fn refuse_beside_token(request: &Request<'_>) -> Result<(), ApiError> {
    let given = [
        ("StreamName", request.stream_name.is_some()),
        ("StreamARN", request.stream_arn.is_some()),
        ("ExclusiveStartShardId", request.start.is_some()),
        ("StreamCreationTimestamp", request.created.is_some()),
        ("ShardFilter", request.filter.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((member, _)) => Err(ApiError::invalid_argument(format!(
            "NextToken and {member} cannot be provided together."
        ))),
    }
}

fn continued(token: &str, kinesis: &Kinesis) -> Result<Query, ApiError> {
    let query: Query = kinesis.page_of(TokenKind::ShardsPage, token)?;
    match query.stream.owner() == kinesis.home.owner {
        true => Ok(query),
        false => Err(ApiError::invalid_argument("Invalid NextToken.")),
    }
}

fn started(request: &Request<'_>, kinesis: &Kinesis) -> Result<Query, ApiError> {
    let named =
        kinesis.home.optional_stream(request.stream_name.as_ref(), request.stream_arn.as_ref());
    let neither =
        || ApiError::invalid_argument("Either NextToken or StreamName should be provided.");
    let stream = named?.ok_or_else(neither)?;
    let created = request.created.map(|created| created.0.seconds());
    let mut after = request.start.as_ref().map_or("", Text::as_str);
    let mut filter = Filter::FromTrimHorizon;
    if let Some(given) = &request.filter {
        let kind = given.kind.as_ref().map_or("", Text::as_str);
        let lacks = |member: &str| {
            let message = format!("ShardFilter of type {kind} needs {member}.");
            ApiError::invalid_argument(message)
        };
        let moment = || given.timestamp.map(|moment| moment.0).ok_or_else(|| lacks("Timestamp"));
        match kind {
            "AFTER_SHARD_ID" => {
                let id = given.shard_id.as_ref().ok_or_else(|| lacks("ShardId"))?;
                after = after.max(id.as_str());
            }
            "AT_TRIM_HORIZON" => filter = Filter::AtTrimHorizon,
            "AT_LATEST" => filter = Filter::AtLatest,
            "AT_TIMESTAMP" => filter = Filter::At(moment()?),
            "FROM_TIMESTAMP" => filter = Filter::From(moment()?),
            _ => {}
        }
    }
    Ok(Query { stream, created, after: after.to_owned(), filter })
}

impl Filter {
    /// Whether a shard is among those asked for. Moments before the trim horizon count as it.
    fn admits(self, shard: &Shard, trim_horizon: Timestamp) -> bool {
        let opened = Timestamp::from_seconds(shard.starting_sequence_number.time_seconds());
        // Numbers know whole seconds: the shard may have been open until that one ended.
        let open_at = |moment: Timestamp| {
            shard.ending_sequence_number.is_none_or(|end| end.time_seconds() >= moment.seconds())
        };
        match self {
            Self::FromTrimHorizon => open_at(trim_horizon),
            Self::AtTrimHorizon => opened <= trim_horizon && open_at(trim_horizon),
            Self::AtLatest => shard.ending_sequence_number.is_none(),
            Self::At(moment) => {
                let moment = moment.max(trim_horizon);
                opened <= moment && open_at(moment)
            }
            Self::From(moment) => open_at(moment.max(trim_horizon)),
        }
    }
}

output! {
    pub(crate) struct Output {
        shards: Vec<ShardShape> = "Shards",
        next_token: Option<String> = "NextToken",
    }
}

pub(crate) async fn answer(call: Call, kinesis: &Kinesis) -> Result<Output, ApiError> {
    let Call { mut query, limit } = call;
    let stream = kinesis.describe(&query.stream).await?;
    if query.created.is_some_and(|created| created != stream.created.seconds()) {
        return Err(kinesis.home.stream_not_found(&query.stream));
    }
    let horizon = stream.trim_horizon(kinesis.streams.clock.now());
    let mut rest = stream.shards.iter().filter(|shard| {
        query.filter.admits(shard, horizon) && shard.id.to_string().as_str() > query.after.as_str()
    });
    let page: Vec<&Shard> = rest.by_ref().take(limit).collect();
    let has_more = rest.next().is_some();
    let next_token = page.last().filter(|_| has_more).map(|last| {
        query.after = last.id.to_string();
        query.created = Some(stream.created.seconds());
        kinesis.page_token(TokenKind::ShardsPage, &query)
    });
    Ok(Output { shards: page.into_iter().map(ShardShape::of).collect(), next_token })
}

#[cfg(test)]
mod tests;
