//! One call of PutRecords, as `put` and `redrive` make it.

use baikonur_stream::StreamName;
use bytes::Bytes;
use serde::Deserialize;

use crate::client::{CallError, Client};

/// Records of a call (API reference, `PutRecords`).
pub(crate) const CALL_RECORDS_MAX: usize = 500;
/// Bytes of a call: half of what it may have.
pub(crate) const CALL_BYTES_MAX: usize = 5 << 20;

const OPERATION: &str = "PutRecords";

/// A record to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The partition key.
    pub(crate) key: String,
    /// The payload.
    pub(crate) data: Bytes,
}

impl Entry {
    /// Bytes that count against limits.
    pub(crate) fn size(&self) -> usize {
        self.data.len() + self.key.len()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    records: Vec<RecordAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordAnswer {
    error_code: Option<String>,
    error_message: Option<String>,
}

impl Client {
    /// One call, not repeated. Gives for each entry why it was not put, or none when it was.
    pub(crate) async fn put_records<'e, E>(
        &self,
        stream: &StreamName,
        entries: E,
    ) -> Result<Vec<Option<String>>, CallError>
    where
        E: IntoIterator<Item = &'e Entry>,
    {
        let (body, count) = body(stream, entries);
        let answer: Answer = self.call(OPERATION, body).await?;
        if answer.records.len() != count {
            let what = format!("{} answers to {count} records", answer.records.len());
            return Err(self.strange(OPERATION, what));
        }
        let failures = answer.records.into_iter().map(|record| {
            let message = record.error_message.unwrap_or_default();
            record.error_code.map(|code| format!("{code}: {message}"))
        });
        Ok(failures.collect())
    }
}

/// The body, and how many records it has.
fn body<'e>(stream: &StreamName, entries: impl IntoIterator<Item = &'e Entry>) -> (String, usize) {
    let mut count = 0;
    let mut body = format!(r#"{{"StreamName":"{stream}","Records":["#);
    for (place, Entry { key, data }) in entries.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let key = serde_json::Value::from(key.as_str());
        body.push_str(&format!(r#"{comma}{{"PartitionKey":{key},"Data":""#));
        base64_simd::STANDARD.encode_append(data, &mut body);
        body.push_str("\"}");
        count += 1;
    }
    body.push_str("]}");
    (body, count)
}

/// An error of a call, with what may help when there is no such stream.
pub(crate) fn explained(error: CallError, stream: &StreamName) -> anyhow::Error {
    let missing = error.is("ResourceNotFoundException");
    let error = anyhow::Error::from(error);
    if missing {
        return error.context(format!("there is no stream {stream}; make it in the configuration"));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_json_whatever_is_in_the_records() {
        let stream = StreamName::new("s").unwrap();
        let entry = |key: &str, data: &'static [u8]| Entry {
            key: key.to_owned(),
            data: Bytes::from_static(data),
        };
        let entries = [entry("a \"key\"\n", b"\xff\x00"), entry("日", b"")];
        let (body, count) = body(&stream, &entries);
        assert_eq!(count, 2);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "StreamName": "s",
            "Records": [
                { "PartitionKey": "a \"key\"\n", "Data": "/wA=" },
                { "PartitionKey": "日", "Data": "" },
            ],
        });
        assert_eq!(body, expected);
    }
}
