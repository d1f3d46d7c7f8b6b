//! Listening, connections and limits; the order in which a request is checked is in `front`.

mod body;
mod connection;
mod delivery;
mod front;
mod http2;
mod meters;
mod origin;
mod pages;
mod patience;
mod reply;
mod settings;
mod sniff;
mod stall;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

pub use pages::{NoPages, Page, Pages};
pub use settings::{Limits, ServerSettings};
pub use tls::{Certificates, Tls, TlsError};

use crate::Streams;
use crate::limits::DRAIN_TIMEOUT;
use connection::Shared;
use front::Front;

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anybody could read and write all streams from there.
    #[error(
        "{0} is not a loopback address: signatures are not verified, so streams would be open to \
         everyone who can reach it; listen on 127.0.0.1 or [::1], or give \
         credentials to verify by"
    )]
    NotLoopback(SocketAddr),
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    listener: TcpListener,
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
}

/// Pause after a connection could not be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Listens on the address of the settings; port 0 takes any that is free.
    pub async fn bind(settings: ServerSettings) -> Result<Self, ServeError> {
        let address = settings.listen;
        if !address.ip().is_loopback() && settings.credentials.is_none() {
            return Err(ServeError::NotLoopback(address));
        }
        settings.check().map_err(ServeError::Setting)?;
        let wrap = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(wrap)?;
        let address = listener.local_addr().map_err(wrap)?;
        Ok(Self { settings, listener, address, certificates: None })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Speaks TLS, and nothing else, with this certificate.
    pub fn with_tls(self, certificates: Certificates) -> Self {
        Self { certificates: Some(Arc::new(certificates)), ..self }
    }

    /// Answers requests until `shutdown` is done, then finishes those under way. The recorder of
    /// metrics is the one in place when it is called.
    pub async fn run(
        self,
        streams: Streams,
        pages: Arc<dyn Pages>,
        shutdown: impl Future<Output = ()>,
    ) {
        self.answer(Some(streams), pages, shutdown).await;
    }

    /// The same for pages alone: no operation is known.
    pub async fn run_pages(self, pages: Arc<dyn Pages>, shutdown: impl Future<Output = ()>) {
        self.answer(None, pages, shutdown).await;
    }

    async fn answer(
        self,
        streams: Option<Streams>,
        pages: Arc<dyn Pages>,
        shutdown: impl Future<Output = ()>,
    ) {
        let room = Arc::new(Semaphore::new(self.settings.connections_max));
        let front =
            Arc::new(Front::new(&self.settings, self.certificates.is_some(), streams, pages));
        let (stop, stopped) = watch::channel(false);
        let shared = Shared { front, certificates: self.certificates, stopped };
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let (stream, permit) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&self.listener, &room) => accepted,
            };
            let shared = shared.clone();
            connections.spawn(async move {
                connection::run(stream, shared).await;
                drop(permit);
            });
            // Only to forget those that ended.
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        stop.send_replace(true);
        shared.front.stop();
        let drain = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            tracing::warn!(
                open = connections.len(),
                "connections cut: their requests took too long"
            );
        }
    }
}

/// The next connection, once there is room for one more.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(room).acquire_owned().await.expect("never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
