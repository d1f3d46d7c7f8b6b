//! What `parse` makes of a payload: the event that CloudWatch Logs or a container runtime has wrapped up, with what they
//! know of it as fields.
//!
//! The order is that of the wrappers, from the outside to the inside: the log event of an envelope, then the line of a
//! runtime, then the JSON that an application wrote. Only the members of the outermost object are told apart; their values
//! are copied as bytes.

mod container;
mod members;
#[cfg(test)]
mod tests;

use baikonur_record::EnvelopeEvent;
use baikonur_stream::Timestamp;

use self::members::{Members, NoMembers};
use super::json_text::{Bounded, TooLarge};
use super::settings::Reader;
use crate::failed_store::wall::rfc3339;

/// The field with what CloudWatch Logs says of an event.
const CLOUDWATCH: &str = "cloudwatch";
/// The text of an event that has nothing else.
const MESSAGE: &str = "message";
/// The time that is looked for by default.
const TIME: &str = "time";
/// Fields that say where an event is from: what an application writes under these names does not replace them.
const METADATA: [&str; 5] = [CLOUDWATCH, "container", "ecs", "kubernetes", "docker"];
/// The last millisecond of the year 9999.
const MILLIS_MAX: u64 = 253_402_300_799_999;

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Readers {
    pub(super) cloudwatch: bool,
    container: bool,
    json: bool,
}

impl Readers {
    pub(super) fn new(readers: &[Reader]) -> Self {
        Self {
            cloudwatch: readers.contains(&Reader::CloudWatch),
            container: readers.contains(&Reader::Container),
            json: readers.contains(&Reader::Json),
        }
    }

    pub(super) fn any(&self) -> bool {
        self.cloudwatch || self.container || self.json
    }

    /// See [`Fields::read`](super::Fields::read).
    ///
    /// # Errors
    /// When it would be more than `max` bytes.
    pub(super) fn read(
        &self,
        text: &[u8],
        event: Option<&EnvelopeEvent>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, TooLarge> {
        let event = event.filter(|_| self.cloudwatch);
        let lifted;
        let (mut members, mut changed) = match Members::of(text) {
            Ok(members) => (members, false),
            // As it is, and not as a text, so that its fields can still be redacted.
            Err(NoMembers::TooMany) => return Ok(None),
            Err(NoMembers::NoObject) => match self.text(text, event.is_some()) {
                Some(members) => (members, true),
                None => return Ok(None),
            },
        };
        if self.container {
            changed |= container::unwrap(&mut members);
        }
        if self.json
            && let Some((name, text)) = members.json_text(&[MESSAGE, "log"])
        {
            lifted = text;
            changed |= lift(&mut members, name, &lifted);
        }
        if let Some(event) = event {
            add_metadata(&mut members, event);
            changed = true;
        }
        if !changed {
            return Ok(None);
        }
        let mut out = Bounded::new(text.len() + 256, max);
        members.write(&mut out);
        let mut made = out.finish()?;
        super::rewrite::to_one_line(&mut made);
        Ok(Some(made))
    }

    /// A payload that is no object; `in_envelope` when it is the message of a log event, which may be any text.
    fn text<'t>(&self, text: &'t [u8], in_envelope: bool) -> Option<Members<'t>> {
        std::str::from_utf8(text).ok()?;
        let line = if self.container { container::line(text) } else { None };
        line.or_else(|| {
            in_envelope.then(|| {
                let mut members = Members::default();
                members.push_text(MESSAGE, text);
                members
            })
        })
    }
}

/// Puts the fields of the object that is the text `name` in its place. The application's own win over those around it,
/// but for those that say where the event is from.
fn lift<'t>(members: &mut Members<'t>, name: &str, text: &'t [u8]) -> bool {
    let Ok(mut inner) = Members::of(text) else { return false };
    members.remove(name);
    for name in METADATA {
        if members.has(name) {
            inner.remove(name);
        }
    }
    members.remove_all_of(&inner);
    inner.append(members);
    *members = inner;
    true
}

/// Adds what CloudWatch Logs says of an event. A message cannot claim to be from elsewhere: its own field of that name
/// is replaced.
fn add_metadata(members: &mut Members<'_>, event: &EnvelopeEvent) {
    let mut cloudwatch = Members::default();
    let mut millis = None;
    for (name, value) in event.metadata() {
        if let Some(value) = value {
            cloudwatch.push(name, value.to_vec());
            if name == "timestamp" {
                millis = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
            }
        }
    }
    members.remove(CLOUDWATCH);
    members.push_object(CLOUDWATCH, &cloudwatch);
    if let Some(millis) = millis.filter(|millis| *millis <= MILLIS_MAX && !members.has(TIME)) {
        let time = rfc3339(Timestamp::from_millis(millis));
        members.push_text(TIME, time.as_bytes());
    }
}
