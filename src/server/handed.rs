//! Which sockets did the service manager open for us, by sd_listen_fds(3)? They outlive the process: while one takes
//! another's place, or comes back after a crash, nobody is refused.

use std::net::SocketAddr;
use std::sync::LazyLock;

use listenfd::ListenFd;
use socket2::Socket;

/// Taken from the environment once, so that no child inherits them.
static GIVEN: LazyLock<Vec<Socket>> = LazyLock::new(|| {
    let mut given = ListenFd::from_env();
    let sockets = (0..given.len()).filter_map(|number| {
        let taken = given.take_tcp_listener(number);
        let taken = taken.inspect_err(
            |error| log::error!(target: "memgate::server", "a socket that was handed over is of no use: {error}"),
        );
        taken.ok().flatten().map(Socket::from)
    });
    sockets.collect()
});

/// The one at this address; the service manager's own stays open.
pub(super) fn socket_at(address: SocketAddr) -> Option<Socket> {
    let is_there = |socket: &&Socket| {
        let bound = socket.local_addr();
        bound.is_ok_and(|bound| bound.as_socket() == Some(address))
    };
    let again = GIVEN.iter().find(is_there)?.try_clone();
    again
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .inspect_err(|error| log::error!(target: "memgate::server", "{address}: {error}"))
        .ok()
}
