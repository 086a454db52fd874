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
    pub tls: Option<TlsSettings>,
    pub h2c: bool,
}

impl BoundListener {
    pub(super) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            h2c: false,
        }
    }

    /// Pingora holds a buffer of 64 KiB for every connection, between requests and through silent streams too.
    /// HTTP reads into buffers of its own; TLS, which the entrance speaks, reads a record at a time.
    pub(super) fn config(&self) -> ListenerConfig {
        let read = if self.tls.is_some() { TLS_RECORD } else { 0 };
        let buffers = L4BufferSettings::default().read(read);
        ListenerConfig::tcp(self.address.to_string()).l4_buffer(buffers)
    }
}

/// The bound sockets, in the form in which Pingora takes over listeners.
pub(super) struct Sockets {
    fds: Fds,
    /// What is shown on those that speak TLS.
    pub certificates: Vec<Arc<Certificate>>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            fds: Fds::new(),
            certificates: Vec::new(),
        }
    }

    /// Binds `address` and returns the address it became.
    pub(super) fn bind(&mut self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let bound = listen(address).map_err(|error| StartError::Bind { address, error })?;
        let (socket, address) = bound;
        self.fds.add(address.to_string(), socket.into_raw_fd());
        Ok(address)
    }

    pub(super) fn bind_listener(
        &mut self,
        listener: &Listener,
    ) -> Result<BoundListener, StartError> {
        let certificate = listener.tls.as_ref().map(Certificate::load).transpose()?;
        let certificate = certificate.map(Arc::new);
        let tls = certificate
            .as_ref()
            .map(Certificate::settings)
            .transpose()?;
        self.certificates.extend(certificate);
        Ok(BoundListener {
            address: self.bind(listener.address)?,
            tls,
            h2c: listener.h2c,
        })
    }

    pub(super) fn into_shared(self) -> ListenFds {
        Arc::new(Mutex::new(self.fds))
    }
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
