//! Which sockets do we listen on? Handed over by the service manager, or bound by ourselves, so that a port in use is an error with a name and
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

use super::certificate::Certificate;
use super::entrance::Door;
use super::{StartError, handed};
use crate::config::Listener;

const BACKLOG: i32 = 4096;
const TLS_RECORD: usize = 16 * 1024;
/// Gathered before it is written: the head and the body of most answers, in one system call instead of two. Pingora's own
/// 1,460 bytes are less than many heads. Only an answer that says its length is gathered; events never are.
const ANSWER: usize = 4 * 1024;

/// All that are open; another list takes this one's place.
pub(super) type Listeners = Arc<[Arc<BoundListener>]>;

/// A listener that is bound, and the way its connections are spoken with.
pub(super) struct BoundListener {
    /// As `listen` has it; `None` for one that another key names.
    said: Option<Listener>,
    pub address: SocketAddr,
    pub certificate: Option<Arc<Certificate>>,
    pub door: Arc<Door>,
    /// `None` when it is closed.
    socket: Mutex<Option<Socket>>,
}

impl BoundListener {
    pub(super) fn bind(said: &Listener) -> Result<Self, StartError> {
        Self::on(bound(said.address)?, said)
    }

    /// Without TLS; port 0 becomes a free one.
    pub(super) fn private(address: SocketAddr) -> Result<Self, StartError> {
        let (socket, address) = bound(address)?;
        let door = Door {
            tls: None,
            private: true,
        };
        Ok(Self {
            said: None,
            address,
            certificate: None,
            door: Arc::new(door),
            socket: Mutex::new(Some(socket)),
        })
    }

    fn on((socket, address): (Socket, SocketAddr), said: &Listener) -> Result<Self, StartError> {
        let certificate = said.tls.as_ref().map(Certificate::load).transpose()?;
        let certificate = certificate.map(Arc::new);
        let tls = certificate.as_ref().map(Certificate::settings);
        let door = Door {
            tls: tls.transpose()?.map(TlsSettings::build),
            private: false,
        };
        Ok(Self {
            said: Some(said.clone()),
            address,
            certificate,
            door: Arc::new(door),
            socket: Mutex::new(Some(socket)),
        })
    }

    pub(super) fn h2c(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.h2c)
    }

    /// What `listen` says now: those that are open as it says stay, and others are opened. An address that is to be
    /// spoken with in another way keeps its socket, and whoever waits there.
    pub(super) fn in_place_of(
        open: &Listeners,
        listen: &[Listener],
    ) -> Result<Listeners, StartError> {
        let (mut ours, others): (Vec<_>, Vec<_>) =
            open.iter().cloned().partition(|one| one.said.is_some());
        let mut wanted = Vec::new();
        for said in listen {
            let same = ours.iter().position(|one| one.said.as_ref() == Some(said));
            wanted.push(match same {
                Some(same) => ours.swap_remove(same),
                None => Arc::new(Self::beside(open, said)?),
            });
        }
        wanted.extend(others);
        Ok(wanted.into())
    }

    fn beside(open: &Listeners, said: &Listener) -> Result<Self, StartError> {
        let address = said.address;
        let Some(same) = open.iter().find(|one| one.address == address) else {
            return Self::bind(said);
        };
        Self::on((same.socket_again()?, address), said)
    }

    fn socket_again(&self) -> Result<Socket, StartError> {
        let address = self.address;
        let socket = self.socket.lock();
        let again = socket.as_ref().map(Socket::try_clone);
        let again = again.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()));
        again.map_err(|error| StartError::Bind { address, error })
    }

    /// As soon as nobody accepts there any more, whoever calls is refused: as long as a socket is open, the kernel would
    /// let him in to wait for nobody.
    pub(super) fn close(&self) {
        self.socket.lock().take();
    }

    /// Pingora holds a buffer of 64 KiB for every connection, between requests and through silent streams too.
    /// HTTP reads into buffers of its own; TLS, which the entrance speaks, reads a record at a time.
    pub(super) fn config(&self) -> ListenerConfig {
        let read = if self.door.tls.is_some() {
            TLS_RECORD
        } else {
            0
        };
        let buffers = L4BufferSettings::default().read(read).write(ANSWER);
        ListenerConfig::tcp(self.address.to_string()).l4_buffer(buffers)
    }
}

/// The socket, in the form in which a Pingora service takes it over; any number of services may.
pub(super) fn handed_over(listener: &BoundListener) -> Result<ListenFds, StartError> {
    let mut fds = Fds::new();
    let socket = listener.socket_again()?;
    fds.add(listener.address.to_string(), socket.into_raw_fd());
    Ok(Arc::new(Mutex::new(fds)))
}

fn bound(address: SocketAddr) -> Result<(Socket, SocketAddr), StartError> {
    if let Some(handed) = handed::socket_at(address) {
        return Ok((handed, address));
    }
    listen(address).map_err(|error| StartError::Bind { address, error })
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
