//! Sums of bytes and records by the minute, as CloudWatch has them of a stream of Amazon Kinesis.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::DisplayErrorContext;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use baikonur_stream::{StreamName, Timestamp};

use crate::connect::Connection;

/// Which way records went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Into the stream, by PutRecord and PutRecords.
    In,
    /// Out of it, by GetRecords; what SubscribeToShard gives has no such metric.
    Out,
}

/// Sums of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowSum {
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// A client of CloudWatch.
#[derive(Debug, Clone)]
pub struct CloudWatch {
    client: Client,
}

/// Metrics of AWS/Kinesis that are summed up: bytes, and records (CloudWatch page of the Kinesis
/// guide).
const PUT: ([&str; 2], [&str; 2]) =
    (["PutRecord.Bytes", "PutRecords.Bytes"], ["PutRecord.Success", "PutRecords.Records"]);
const GET: ([&str; 1], [&str; 1]) = (["GetRecords.Bytes"], ["GetRecords.Records"]);
const PERIOD_SECONDS: i32 = 60;

impl CloudWatch {
    /// How long the newest minutes may still be missing.
    pub const LAG: Duration = Duration::from_secs(60);

    /// CloudWatch in the region of `connection`. Nothing is contacted yet.
    pub fn new(connection: &Connection) -> Self {
        Self { client: Client::new(&connection.sdk) }
    }

    /// The sums of the minutes from `from` to `to`, by the beginning of each; minutes without any
    /// are missing.
    ///
    /// # Errors
    /// What CloudWatch says.
    pub async fn sums(
        &self,
        stream: &StreamName,
        flow: Flow,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<Timestamp, FlowSum>, String> {
        let (bytes, records): (&[&str], &[&str]) = match flow {
            Flow::In => (&PUT.0, &PUT.1),
            Flow::Out => (&GET.0, &GET.1),
        };
        let mut call = self.client.get_metric_data().start_time(time(from)).end_time(time(to));
        for (place, name) in bytes.iter().enumerate() {
            call = call.metric_data_queries(query(format!("bytes{place}"), name, stream));
        }
        for (place, name) in records.iter().enumerate() {
            call = call.metric_data_queries(query(format!("records{place}"), name, stream));
        }
        let mut sums: BTreeMap<Timestamp, FlowSum> = BTreeMap::new();
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| DisplayErrorContext(error).to_string())?;
            for result in page.metric_data_results() {
                let is_bytes = result.id().is_some_and(|id| id.starts_with("bytes"));
                for (minute, value) in result.timestamps().iter().zip(result.values()) {
                    let seconds = u64::try_from(minute.secs()).unwrap_or(0);
                    let sum = sums.entry(Timestamp::from_seconds(seconds)).or_default();
                    let field = if is_bytes { &mut sum.bytes } else { &mut sum.records };
                    *field += value.max(0.0).round() as u64;
                }
            }
        }
        Ok(sums)
    }
}

fn query(id: String, name: &str, stream: &StreamName) -> MetricDataQuery {
    let dimension = Dimension::builder().name("StreamName").value(stream.as_str()).build();
    let metric = Metric::builder().namespace("AWS/Kinesis").metric_name(name).dimensions(dimension);
    let stat = MetricStat::builder().metric(metric.build()).period(PERIOD_SECONDS).stat("Sum");
    MetricDataQuery::builder().id(id).metric_stat(stat.build()).return_data(true).build()
}

fn time(time: Timestamp) -> DateTime {
    DateTime::from_secs(i64::try_from(time.seconds()).unwrap_or(i64::MAX))
}
