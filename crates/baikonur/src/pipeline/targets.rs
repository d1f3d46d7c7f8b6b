//! Where forwarding modules put: where the source is, or elsewhere.

use std::sync::Arc;

use baikonur_assembly::{elsewhere, producer};
use baikonur_modules::forward::TargetSettings;
use baikonur_stream::Write;

use super::{Source, StreamStore};

/// The streams that a target is one of. Nothing is contacted yet.
pub(super) fn write(target: &TargetSettings, streams: &StreamStore) -> Arc<dyn Write> {
    let strict_order = target.strict_order;
    match (target.elsewhere(), &streams.source) {
        (None, Source::Embedded(_)) => Arc::clone(&streams.write),
        (None, Source::Kinesis(_)) if !strict_order => Arc::clone(&streams.write),
        (None, Source::Kinesis(connection)) => Arc::new(producer(connection, strict_order)),
        (Some(place), Source::Embedded(_)) => elsewhere(place, None, strict_order),
        (Some(place), Source::Kinesis(connection)) => {
            elsewhere(place, Some((**connection).clone()), strict_order)
        }
    }
}
