//! Records and child shards on their way out, as GetRecords and SubscribeToShard both answer them.

use baikonur_stream::{ChildShard, ReadPage, Record};

use crate::kinesis::shapes::HashKeyRange;
use crate::wire::output::{Encoder, Members, Structure};

/// Bytes of a record beside payload and key.
const RECORD_BYTES: usize = 176;

/// How many bytes the records of a page become at most.
pub(crate) fn records_capacity<E: Encoder>(page: &ReadPage) -> usize {
    let key = |record: &Record| record.partition_key.bytes().len();
    let size = |record: &Record| RECORD_BYTES + E::blob_length(record.data.len()) + key(record);
    page.records.iter().map(size).sum()
}

/// The elements of `Records`.
pub(crate) fn records(page: &ReadPage) -> impl ExactSizeIterator<Item = RecordShape<'_>> {
    page.records.iter().map(RecordShape)
}

/// The elements of `ChildShards`.
pub(crate) fn children(page: &ReadPage) -> impl ExactSizeIterator<Item = ChildShape<'_>> {
    page.children.iter().map(ChildShape)
}

/// `Record`.
pub(crate) struct RecordShape<'a>(&'a Record);

impl Structure for RecordShape<'_> {
    #[inline]
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("ApproximateArrivalTimestamp", &self.0.arrival);
        members.member("Data", &self.0.data);
        members.member("PartitionKey", &self.0.partition_key);
        members.member("SequenceNumber", &self.0.sequence_number);
    }
}

/// `ChildShard`.
pub(crate) struct ChildShape<'a>(&'a ChildShard);

impl Structure for ChildShape<'_> {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("ShardId", &self.0.id);
        members.member("ParentShards", &self.0.parents);
        members.member("HashKeyRange", &HashKeyRange::of(&self.0.hash_key_range));
    }
}
