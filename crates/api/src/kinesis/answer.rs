//! What an operation answers: nothing, a structure, or a body that it makes itself.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

use crate::wire::format::Format;
use crate::wire::output::Structure;

/// A body that is made while it is sent. Dropped when the client went away.
pub(crate) type Frames = UnsyncBoxBody<Bytes, Infallible>;

/// The body of a success.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All of it, in the format of the request.
    Whole(Bytes),
    /// Messages of an event stream, as they come.
    Stream(Frames),
}

/// What the `answer` of an operation may return.
pub(crate) trait IntoAnswer {
    /// The body, in a format.
    fn into_answer(self, format: Format) -> Answer;
}

/// Operations without output answer an empty body, not an empty structure.
impl IntoAnswer for () {
    fn into_answer(self, _: Format) -> Answer {
        Answer::Whole(Bytes::new())
    }
}

impl<T: Structure> IntoAnswer for T {
    fn into_answer(self, format: Format) -> Answer {
        Answer::Whole(format.encode(&self).into())
    }
}

impl IntoAnswer for Answer {
    fn into_answer(self, _: Format) -> Answer {
        self
    }
}
