//! Which sockets do we listen on? Bound by ourselves, so that a port in use is an error with a name and
//! port 0 tells what it became.

use std::io;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora_core::listeners::ListenerConfig;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::protocols::l4::stream::L4BufferSettings;
use pingora_core::server::{Fds, ListenFds};
use socket2::{Domain, Protocol, Socket, Type};

use super::StartError;
use super::certificate::Certificate;
use crate::config::Listener;

const BACKLOG: i32 = 4096;
const TLS_RECORD: usize = 16 * 1024;

/// A listener that is bound, and the way its connections are spoken with.
pub(super) struct BoundListener {
    pub address: SocketAddr,
    pub certificate: Option<Arc<Certificate>>,
    pub h2c: bool,
    socket: Socket,
}

impl BoundListener {
    pub(super) fn bind(listener: &Listener) -> Result<Self, StartError> {
        let certificate = listener.tls.as_ref().map(Certificate::load).transpose()?;
        let mut bound = Self::plain(listener.address)?;
        bound.certificate = certificate.map(Arc::new);
        bound.h2c = listener.h2c;
        Ok(bound)
    }

    /// Without TLS; port 0 becomes a free one.
    pub(super) fn plain(address: SocketAddr) -> Result<Self, StartError> {
        let bound = listen(address).map_err(|error| StartError::Bind { address, error })?;
        let (socket, address) = bound;
        Ok(Self {
            address,
            certificate: None,
            h2c: false,
            socket,
        })
    }

    /// For one more service that takes connections from the same queue.
    pub(super) fn again(&self) -> Result<Self, StartError> {
        let address = self.address;
        let socket = self.socket.try_clone();
        Ok(Self {
            address,
            certificate: self.certificate.clone(),
            h2c: self.h2c,
            socket: socket.map_err(|error| StartError::Bind { address, error })?,
        })
    }

    pub(super) fn tls(&self) -> Result<Option<TlsSettings>, StartError> {
        let certificate = self.certificate.as_ref();
        certificate.map(Certificate::settings).transpose()
    }

    /// Pingora holds a buffer of 64 KiB for every connection, between requests and through silent streams too.
    /// HTTP reads into buffers of its own; TLS, which the entrance speaks, reads a record at a time.
    pub(super) fn config(&self) -> ListenerConfig {
        let read = if self.certificate.is_some() {
            TLS_RECORD
        } else {
            0
        };
        let buffers = L4BufferSettings::default().read(read);
        ListenerConfig::tcp(self.address.to_string()).l4_buffer(buffers)
    }
}

/// The sockets, in the form in which a Pingora service takes them over.
pub(super) fn handed_over(listeners: Vec<BoundListener>) -> ListenFds {
    let mut fds = Fds::new();
    for listener in listeners {
        fds.add(listener.address.to_string(), listener.socket.into_raw_fd());
    }
    Arc::new(Mutex::new(fds))
}

fn listen(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, address))
}
