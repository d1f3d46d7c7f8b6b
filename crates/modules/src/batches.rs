//! For the tests of this room: batches as a mapping would hand them over, and events of them.

use baikonur_record::LogEvent;
use baikonur_stream::{
    Batch, ConsumerName, PartitionKey, Record, SequenceNumber, ShardAddress, ShardId, StreamName,
    Timestamp,
};
use bytes::Bytes;

use crate::intake::{Intake, IntakeSettings, TakenEvent};

pub(crate) fn shard() -> ShardAddress {
    ShardAddress { stream: StreamName::new("logs").unwrap(), shard: ShardId::new(3) }
}

pub(crate) fn sequence_number(counter: u64) -> SequenceNumber {
    SequenceNumber::new(1_700_000_000, 3, counter, 1_700_000_001)
}

pub(crate) fn record(counter: u64, text: &str) -> Record {
    Record {
        sequence_number: sequence_number(counter),
        arrival: Timestamp::from_seconds(1_700_000_001),
        partition_key: PartitionKey::new(Bytes::from_static(b"key")).unwrap(),
        data: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// Records with these texts, numbered from 0.
pub(crate) fn batch<T: AsRef<str>>(texts: &[T]) -> Batch {
    let records = (0..).zip(texts).map(|(counter, text)| record(counter, text.as_ref()));
    Batch { shard: shard(), records: records.collect(), attempt: 0 }
}

/// An intake that takes everything.
pub(crate) fn intake(consumer: &str) -> Intake {
    Intake::new(&IntakeSettings::default(), &ConsumerName::new(consumer)).unwrap()
}

pub(crate) fn taken(counter: u64, text: &str) -> TakenEvent {
    let records = vec![record(counter, text)];
    let batch = Batch { shard: shard(), records, attempt: 0 };
    let mut events = intake("test").take(&batch).events;
    assert_eq!(events.len(), 1, "{text}");
    events.remove(0)
}

pub(crate) fn event(text: &str) -> LogEvent {
    taken(0, text).event
}
