//! One connection to a receiver: messages out, acknowledgements in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use baikonur_stream::Clock;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::{NotExpected, parse_ack};
use super::connect::{Deadline, Wire};
use super::endpoint::Endpoint;
use super::failure::SendError;

/// Bytes of an acknowledgement at most; those of our ids take 32.
const ACK_BYTES_MAX: usize = 4096;
/// Acknowledgements in a row that are not for what is on its way, before the receiver is given up.
const STRANGERS_MAX: usize = 64;
/// What a receiver has to take within its time; more gets more time.
const PART_BYTES: usize = 1 << 20;
/// Messages that may be on their way without an acknowledgement: so few that all of their
/// acknowledgements fit into the connection's buffers, and neither side waits for the other to read.
const UNACKNOWLEDGED_MAX: usize = 64;

/// A connection over which messages may go.
pub(super) struct Connection {
    pub(super) wire: Box<dyn Wire>,
    /// The receiver, for messages.
    pub(super) endpoint: Endpoint,
    /// The receiver may take or say nothing for so long.
    pub(super) patience: Duration,
    pub(super) clock: Arc<dyn Clock>,
    /// When it was made, by the monotonic clock.
    pub(super) opened: Duration,
    /// False when the receiver closes it behind one message.
    pub(super) keeps_alive: bool,
    /// Whether a message went over it.
    pub(super) is_used: bool,
    /// What came from the receiver and was not read yet.
    pub(super) received: Vec<u8>,
}

impl Drop for Connection {
    /// Says goodbye in TLS, whose servers else log an error. Nobody waits for it.
    fn drop(&mut self) {
        let _ = self.wire.shutdown().now_or_never();
    }
}

impl Connection {
    /// How many messages may be on their way.
    pub(super) fn window(&self) -> usize {
        if self.keeps_alive { UNACKNOWLEDGED_MAX } else { 1 }
    }

    /// Whether it has done what it is for.
    pub(super) fn is_used_up(&self) -> bool {
        self.is_used && !self.keeps_alive
    }

    /// False when it is too old, or when the receiver has closed it meanwhile: better to know before
    /// a message is lost in it.
    pub(super) fn is_good(&mut self, keep_alive: Duration) -> bool {
        if self.is_used_up() || self.clock.monotonic().saturating_sub(self.opened) >= keep_alive {
            return false;
        }
        match self.wire.read_buf(&mut self.received).now_or_never() {
            Some(Ok(bytes)) => bytes > 0,
            Some(Err(_)) => false,
            None => true,
        }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.is_used = true;
        for part in message.chunks(PART_BYTES) {
            let deadline = Deadline::after(&*self.clock, self.patience);
            let wire = &mut self.wire;
            let writing = async {
                wire.write_all(part).await?;
                wire.flush().await
            };
            match deadline.limit(writing).await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(self.lost(error)),
                None => {
                    let endpoint = self.endpoint.clone();
                    return Err(SendError::Slow { endpoint, patience: self.patience });
                }
            }
        }
        Ok(())
    }

    /// Waits for the next acknowledgement that `place_of` knows the chunk of; gives its place.
    pub(super) async fn acknowledged(
        &mut self,
        place_of: impl Fn(&str) -> Option<usize>,
    ) -> Result<usize, SendError> {
        let clock = Arc::clone(&self.clock);
        let deadline = Deadline::after(&*clock, self.patience);
        let mut strangers = 0;
        loop {
            while let Some((id, length)) =
                parse_ack(&self.received).map_err(|what| self.not_an_ack(what))?
            {
                self.received.drain(..length);
                // An id that is not ours tells nothing.
                match place_of(&id) {
                    Some(place) => return Ok(place),
                    None => strangers += 1,
                }
                if strangers > STRANGERS_MAX {
                    return Err(self.not_an_ack(NotExpected::Strangers));
                }
            }
            if self.received.len() > ACK_BYTES_MAX {
                return Err(self.not_an_ack(NotExpected::TooLong));
            }
            self.hurry_receiver();
            match deadline.limit(self.wire.read_buf(&mut self.received)).await {
                Some(Ok(0)) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.lost(error)),
                None => {
                    let endpoint = self.endpoint.clone();
                    return Err(SendError::Silent { endpoint, patience: self.patience });
                }
            }
        }
    }

    /// Receivers that write small packets through Nagle's algorithm hold an acknowledgement back
    /// until TCP has confirmed the one before, which Linux delays by 40 ms unless told at each read.
    fn hurry_receiver(&self) {
        #[cfg(target_os = "linux")]
        // Only a matter of speed: whatever is wrong with the socket shows when it is read.
        let _ = self.wire.socket().set_quickack(true);
    }

    fn lost(&self, source: io::Error) -> SendError {
        SendError::Lost { endpoint: self.endpoint.clone(), source }
    }

    fn not_an_ack(&self, what: NotExpected) -> SendError {
        SendError::NotAnAck { endpoint: self.endpoint.clone(), what }
    }
}
