//! The server from outside: real sockets before real streams.

#![expect(clippy::unwrap_used, reason = "a test ends at what it does not expect")]

mod http;
mod http1;
mod http2;
mod limits;
mod served;
mod signatures;
mod streams;
mod tls;
