//! From an address to a connection that messages may go over: name, TCP, TLS, handshake, all of it
//! within one time-out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baikonur_stream::Clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::endpoint::Endpoint;
use super::failure::SendError;
use super::handshake::{Handshake, HandshakeError};
use super::invalid::InvalidSettings;
use super::send::Connection;
use super::settings::{Credentials, Settings};
use super::tls::Tls;

/// Bytes both ways, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// The socket below.
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Who knows the addresses of a name.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of this machine.
pub(super) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }
}

/// A moment up to which is waited.
pub(super) struct Deadline<'c> {
    clock: &'c dyn Clock,
    until: Duration,
}

impl<'c> Deadline<'c> {
    pub(super) fn after(clock: &'c dyn Clock, patience: Duration) -> Self {
        Self { clock, until: clock.monotonic() + patience }
    }

    fn left(&self) -> Duration {
        self.until.saturating_sub(self.clock.monotonic())
    }

    /// What `work` gives, or none when there is no time left for it.
    pub(super) async fn limit<F: Future>(&self, work: F) -> Option<F::Output> {
        timeout(self.left(), work).await.ok()
    }
}

/// Makes connections.
pub(super) struct Connector {
    resolve: Arc<dyn Resolve>,
    tls: Option<Arc<Tls>>,
    credentials: Option<Credentials>,
    clock: Arc<dyn Clock>,
    connect_timeout: Duration,
    ack_timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        settings: &Settings,
        resolve: Arc<dyn Resolve>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSettings> {
        let tls = settings.places()?.iter().any(|place| place.endpoint.tls);
        Ok(Self {
            resolve,
            tls: if tls { Some(Arc::new(Tls::new(settings)?)) } else { None },
            credentials: settings.credentials()?,
            clock,
            connect_timeout: settings.connect_timeout(),
            ack_timeout: settings.ack_timeout(),
        })
    }

    /// A new connection to `endpoint`, whose name is looked up anew.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<Connection, SendError> {
        let deadline = Deadline::after(&*self.clock, self.connect_timeout);
        let socket = self
            .reach(endpoint, &deadline)
            .await
            .map_err(|source| SendError::Unreachable { endpoint: endpoint.clone(), source })?;
        let mut wire: Box<dyn Wire> = match &self.tls {
            Some(tls) if endpoint.tls => Box::new(encrypt(tls, endpoint, socket, &deadline).await?),
            _ => Box::new(socket),
        };
        let mut received = Vec::new();
        let mut keeps_alive = true;
        if let Some(credentials) = &self.credentials {
            let refused = |what| SendError::Handshake { endpoint: endpoint.clone(), what };
            let mut handshake =
                Handshake { wire: &mut *wire, received: &mut received, credentials };
            let helo = deadline.limit(handshake.greeting()).await;
            let helo = helo.unwrap_or(Err(HandshakeError::NoHelo)).map_err(refused)?;
            let proved = deadline.limit(handshake.prove(&helo)).await;
            proved.unwrap_or(Err(HandshakeError::Silent)).map_err(refused)?;
            keeps_alive = helo.keepalive;
        }
        Ok(Connection {
            wire,
            endpoint: endpoint.clone(),
            patience: self.ack_timeout,
            clock: Arc::clone(&self.clock),
            opened: self.clock.monotonic(),
            keeps_alive,
            is_used: false,
            received,
        })
    }

    /// Tries one address of the name after the other; each gets its part of the time, so that one
    /// that swallows packets does not keep from the next.
    async fn reach(&self, endpoint: &Endpoint, deadline: &Deadline<'_>) -> io::Result<TcpStream> {
        let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
        let looking_up = self.resolve.addresses(&endpoint.host, endpoint.port);
        let addresses = deadline.limit(looking_up).await.unwrap_or_else(|| Err(timed_out()))?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let connecting = timeout(deadline.left() / others, TcpStream::connect(address));
            match connecting.await.unwrap_or_else(|_| Err(timed_out())) {
                Ok(socket) => {
                    // A message is written at once: there is nothing to wait for before it is sent.
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn encrypt(
    tls: &Arc<Tls>,
    endpoint: &Endpoint,
    socket: TcpStream,
    deadline: &Deadline<'_>,
) -> Result<TlsStream<TcpStream>, SendError> {
    let failed = |source| SendError::Tls { endpoint: endpoint.clone(), source };
    let reading = Arc::clone(tls);
    let connector = spawn_blocking(move || reading.connector())
        .await
        .map_err(|error| failed(io::Error::other(error)))?;
    let no_name =
        || io::Error::new(io::ErrorKind::InvalidInput, "its host can have no certificate");
    let name = tls.server_name(&endpoint.host).ok_or_else(no_name).map_err(failed)?;
    let connecting = deadline.limit(connector.connect(name, socket)).await;
    connecting.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(failed)
}
