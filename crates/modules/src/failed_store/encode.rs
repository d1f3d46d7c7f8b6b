//! Failed records as lines, and the keys of the objects that hold them.

use baikonur_stream::{FailedBatch, FailedRecord, Timestamp};
use bytes::Bytes;
use serde::Serialize;

use crate::intake::UNDECODABLE;
use crate::objects::gzip::{Deflate, Gzip};
use crate::objects::name;

/// Bytes of a folder's name.
const FOLDER_BYTES_MAX: usize = 200;
/// Failed records are few: they may as well be small.
const COMPRESSION_LEVEL: u32 = 6;

/// A line of an object.
#[derive(Serialize)]
struct Line<'r> {
    reason: &'r str,
    detail: &'r str,
    consumer: &'r str,
    stream: &'r str,
    shard: String,
    sequence_number: String,
    sub_sequence: u64,
    event_index: u32,
    arrival: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The records of `batch` that have one reason.
pub(super) struct Group<'b> {
    batch: &'b FailedBatch,
    reason: &'b str,
    records: Vec<&'b FailedRecord>,
}

/// The records of `batch` by reason, in the order of the first of each.
pub(super) fn groups(batch: &FailedBatch) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for record in &batch.records {
        match groups.iter_mut().find(|group| group.reason == record.reason) {
            Some(group) => group.records.push(record),
            None => groups.push(Group { batch, reason: &record.reason, records: vec![record] }),
        }
    }
    groups
}

impl Group<'_> {
    /// The key; see the header of `failed_store`.
    pub(super) fn key(&self, unknown_prefix: &str) -> String {
        let first = self.records[0];
        let reason = name(self.reason, FOLDER_BYTES_MAX);
        let reason = match UNDECODABLE.contains(&self.reason) {
            true => format!("{unknown_prefix}/{reason}"),
            false => reason,
        };
        let consumer = name(self.batch.consumer.as_str(), FOLDER_BYTES_MAX);
        let arrival = Wall::of(first.arrival);
        let Wall { year, month, day, hour, minute, second, .. } = arrival;
        let stream = &self.batch.shard.stream;
        let shard = self.batch.shard.shard.index();
        let FailedRecord { sequence_number, sub_sequence, event_index, .. } = first;
        let count = self.records.len();
        format!(
            "{reason}/{consumer}/{year:04}-{month:02}/{day:02}/\
             {year:04}-{month:02}-{day:02}-{hour:02}:{minute:02}:{second:02}-\
             {stream}-{shard}-{sequence_number}-{sub_sequence}-{event_index}-{count}.gz"
        )
    }

    /// The lines, compressed. Lets others have a turn between records.
    pub(super) async fn content(&self) -> Result<Vec<Bytes>, serde_json::Error> {
        let mut deflate = Deflate::new(COMPRESSION_LEVEL);
        let mut gzip = Gzip::new();
        let mut line = Vec::new();
        for record in &self.records {
            line.clear();
            serde_json::to_writer(&mut line, &self.line(record))?;
            gzip.push_line(&line, &mut deflate);
            tokio::task::consume_budget().await;
        }
        let origin = format!("baikonur {} failed records", self.records.len());
        Ok(gzip.whole(&origin, &mut deflate))
    }

    fn line<'r>(&'r self, record: &'r FailedRecord) -> Line<'r> {
        let (partition_key, partition_key_base64) = text_or_base64(&record.partition_key);
        let (data, data_base64) = text_or_base64(&record.data);
        Line {
            reason: &record.reason,
            detail: &record.detail,
            consumer: self.batch.consumer.as_str(),
            stream: self.batch.shard.stream.as_str(),
            shard: self.batch.shard.shard.to_string(),
            sequence_number: record.sequence_number.to_string(),
            sub_sequence: record.sub_sequence,
            event_index: record.event_index,
            arrival: Wall::of(record.arrival).rfc3339(),
            partition_key,
            partition_key_base64,
            data,
            data_base64,
        }
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64_simd::STANDARD.encode_to_string(bytes))),
    }
}

/// A moment as a clock on the wall in UTC shows it.
struct Wall {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u64,
}

impl Wall {
    fn of(moment: Timestamp) -> Self {
        let (days, second) = (moment.seconds() / 86_400, moment.seconds() % 86_400);
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            millisecond: moment.millis() % 1000,
        }
    }

    fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// Year, month and day, `days` days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted in years that begin in March, so that the leap day comes last, from 0000-03-01 on.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_431_857_103, "2015-05-17T10:05:03.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (253_402_300_799, "9999-12-31T23:59:59.007Z"),
        ] {
            let moment = Timestamp::from_millis(seconds * 1000 + 7);
            assert_eq!(Wall::of(moment).rfc3339(), shown);
        }
    }
}
