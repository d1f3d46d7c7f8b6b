//! Checkpoints as the KCL writes them: a sequence number and the place in an aggregated record, or
//! a sentinel; and what they mean here.

use std::cmp::Ordering;

use baikonur_stream::{Checkpoint, ShardProgress, StartingPosition};

/// What stands in `checkpoint` and `checkpointSubSequenceNumber`, in the KCL's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    AtTimestamp,
    TrimHorizon,
    Latest,
    Number(Digits, u64),
    ShardEnd,
}

/// The digits of a sequence number, compared as an integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digits(String);

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The sub-sequence number of a checkpoint behind a whole record. Workers of the KCL leave out user
/// records up to it, and no aggregate has so many: they skip a plain record and an aggregated one
/// alike. It is the largest number that Java reads (`Long.MAX_VALUE`).
pub(crate) const WHOLE_RECORD: u64 = i64::MAX as u64;

impl Place {
    /// Reads the two attributes.
    pub(crate) fn read(checkpoint: &str, sub_sequence: u64) -> Result<Self, String> {
        Ok(match checkpoint {
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "SHARD_END" => Self::ShardEnd,
            number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let digits = match number.trim_start_matches('0') {
                    "" => "0",
                    digits => digits,
                };
                Self::Number(Digits(digits.to_owned()), sub_sequence)
            }
            other => return Err(format!("{other:?} is no checkpoint")),
        })
    }

    /// The two attributes.
    pub(crate) fn attributes(&self) -> (&str, u64) {
        match self {
            Self::AtTimestamp => ("AT_TIMESTAMP", 0),
            Self::TrimHorizon => ("TRIM_HORIZON", 0),
            Self::Latest => ("LATEST", 0),
            Self::Number(digits, sub_sequence) => (&digits.0, *sub_sequence),
            Self::ShardEnd => ("SHARD_END", 0),
        }
    }

    /// Whether it only says where to begin.
    pub(crate) fn is_beginning(&self) -> bool {
        matches!(self, Self::AtTimestamp | Self::TrimHorizon | Self::Latest)
    }

    /// Where a consumer begins that starts at `start`. The KCL has no start at a number.
    pub(crate) fn beginning(start: StartingPosition) -> Self {
        match start {
            StartingPosition::Latest => Self::Latest,
            StartingPosition::AtTimestamp(_) => Self::AtTimestamp,
            StartingPosition::TrimHorizon
            | StartingPosition::AtSequenceNumber(_)
            | StartingPosition::AfterSequenceNumber(_) => Self::TrimHorizon,
        }
    }

    /// Where a delivery starts at this beginning; the moment of AT_TIMESTAMP is the configuration's.
    pub(crate) fn start(&self, configured: StartingPosition) -> StartingPosition {
        match (self, configured) {
            (Self::Latest, _) => StartingPosition::Latest,
            (Self::AtTimestamp, StartingPosition::AtTimestamp(moment)) => {
                StartingPosition::AtTimestamp(moment)
            }
            _ => StartingPosition::TrimHorizon,
        }
    }

    /// Where to go on; none at a beginning.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, String> {
        Ok(match self {
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest => None,
            Self::ShardEnd => Some(Checkpoint::ShardEnd),
            Self::Number(digits, sub_sequence) => {
                let number = digits.0.parse().map_err(|error| format!("checkpoint: {error}"))?;
                Some(match *sub_sequence {
                    WHOLE_RECORD => Checkpoint::After(number),
                    sub_sequence => Checkpoint::Within { number, sub_sequence },
                })
            }
        })
    }
}

/// A checkpoint that was announced with a state of the application's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) place: Place,
    /// None where it is not bytes, as the KCL writes it when it makes a lease.
    pub(crate) state: Option<Vec<u8>>,
}

/// How progress is written: checkpoint and pending checkpoint.
///
/// A checkpoint before any record (a start that was fixed) has no form in the KCL's table: the
/// sentinel stays, by which a worker of the KCL begins, and the exact one is in the pending state.
pub(crate) fn written(progress: &ShardProgress, before: &Place) -> (Place, Option<Pending>) {
    let number = |number: baikonur_stream::SequenceNumber, sub_sequence| {
        Place::Number(Digits(number.to_string()), sub_sequence)
    };
    let (place, exact) = match progress.checkpoint {
        Some(Checkpoint::After(after)) => (number(after, WHOLE_RECORD), true),
        Some(Checkpoint::Within { number: within, sub_sequence }) => {
            (number(within, sub_sequence), true)
        }
        Some(Checkpoint::ShardEnd) => (Place::ShardEnd, true),
        fixed => {
            let place = if before.is_beginning() { before.clone() } else { Place::TrimHorizon };
            (place, fixed.is_none())
        }
    };
    if exact && progress.intent.is_none() {
        return (place, None);
    }
    let announced = match &progress.intent {
        Some(intent) => number(intent.last, WHOLE_RECORD),
        None => place.clone(),
    };
    let state = serde_json::to_vec(progress).expect("numbers and texts are always JSON");
    (place, Some(Pending { place: announced, state: Some(state) }))
}

/// What the two say. A pending state that is not of a worker like this one says nothing.
pub(crate) fn read(place: &Place, pending: Option<&Pending>) -> Result<ShardProgress, String> {
    let state = pending.and_then(|pending| pending.state.as_deref());
    if let Some(state) = state
        && let Ok(progress) = serde_json::from_slice::<ShardProgress>(state)
        && written(&progress, place).0 == *place
    {
        return Ok(progress);
    }
    Ok(ShardProgress { checkpoint: place.checkpoint()?, intent: None })
}

#[cfg(test)]
mod tests {
    use baikonur_stream::{Intent, SequenceNumber};

    use super::*;

    fn number(counter: u64) -> SequenceNumber {
        SequenceNumber::new(1_600_000_000, 1, counter, 1_600_000_000)
    }

    fn place(text: &str, sub: u64) -> Place {
        Place::read(text, sub).unwrap()
    }

    #[test]
    fn sentinels_and_numbers_are_in_the_order_of_the_kcl() {
        let order = [
            place("AT_TIMESTAMP", 0),
            place("TRIM_HORIZON", 0),
            place("LATEST", 0),
            place("9", 7),
            place("00010", 0),
            place("10", 1),
            place(&number(1).to_string(), WHOLE_RECORD),
            place("SHARD_END", 0),
        ];
        assert!(order.is_sorted() && order.windows(2).all(|two| two[0] != two[1]));
        for wrong in ["", "-1", "latest", "12a"] {
            assert!(Place::read(wrong, 0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn progress_is_read_back_as_it_was_written() {
        let (first, last) = (number(3), number(9));
        let intent = Intent { first, last, keys: vec!["a/b.gz".into()] };
        for checkpoint in [
            None,
            Some(Checkpoint::At(number(2))),
            Some(Checkpoint::AtTimestamp(baikonur_stream::Timestamp::from_millis(5))),
            Some(Checkpoint::After(number(2))),
            Some(Checkpoint::Within { number: number(2), sub_sequence: 4 }),
            Some(Checkpoint::ShardEnd),
        ] {
            for intent in [None, Some(intent.clone())] {
                for before in [place("LATEST", 0), place("TRIM_HORIZON", 0)] {
                    let progress = ShardProgress { checkpoint, intent: intent.clone() };
                    let (place, pending) = written(&progress, &before);
                    assert_eq!(read(&place, pending.as_ref()), Ok(progress), "{before:?}");
                }
            }
        }
    }

    #[test]
    fn a_fixed_start_keeps_the_sentinel_by_which_the_kcl_begins() {
        let checkpoint = Some(Checkpoint::At(number(2)));
        let progress = ShardProgress { checkpoint, intent: None };
        let (place, pending) = written(&progress, &Place::Latest);
        assert_eq!((place, pending.unwrap().place), (Place::Latest, Place::Latest));
    }

    #[test]
    fn checkpoints_of_the_kcl_stand_amid_or_behind_a_record() {
        let text = number(5).to_string();
        let at = |sub| read(&place(&text, sub), None).unwrap().checkpoint.unwrap();
        assert_eq!(at(0), Checkpoint::Within { number: number(5), sub_sequence: 0 });
        assert_eq!(at(WHOLE_RECORD), Checkpoint::After(number(5)));
        // Its application's own state is no business of this one.
        let place = place(&text, 3);
        let pending = |state| Some(Pending { place: Place::Latest, state });
        for pending in [pending(Some(b"java".to_vec())), pending(None)] {
            let read = read(&place, pending.as_ref()).unwrap();
            assert_eq!(read.intent, None);
            assert_eq!(read.checkpoint, place.checkpoint().unwrap());
        }
    }

    #[test]
    fn an_announcement_that_a_later_checkpoint_left_behind_is_not_believed() {
        let checkpoint = Some(Checkpoint::After(number(2)));
        let intent = Some(Intent { first: number(3), last: number(9), keys: Vec::new() });
        let (_, pending) = written(&ShardProgress { checkpoint, intent }, &Place::TrimHorizon);
        let later = place(&number(9).to_string(), 0);
        assert_eq!(read(&later, pending.as_ref()).unwrap().intent, None);
    }
}
