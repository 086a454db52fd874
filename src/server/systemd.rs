//! What is a service manager told? Nothing, where there is none.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where systemd listens, by sd_notify(3).
const SOCKET: &str = "NOTIFY_SOCKET";

/// It serves, by the configuration that it was last given.
pub(super) fn ready() {
    tell("READY=1");
}

/// It reads its configuration again; [`ready`] ends that, whatever came of it.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// All is well; to be said again within the time of [`watchdog`].
pub(super) fn alive() {
    tell("WATCHDOG=1");
}

/// After how long without a word from us the service manager takes us for dead, by sd_watchdog_enabled(3).
pub(super) fn watchdog() -> Option<Duration> {
    let said = |name| env::var(name).ok();
    let own = std::process::id();
    watchdog_of(
        &said("WATCHDOG_USEC")?,
        said("WATCHDOG_PID").as_deref(),
        own,
    )
}

fn watchdog_of(micros: &str, whose: Option<&str>, own: u32) -> Option<Duration> {
    let ours = whose.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros.parse().ok().filter(|micros| *micros > 0 && ours);
    micros.map(Duration::from_micros)
}

fn tell(state: &str) {
    let Some(socket) = env::var(SOCKET).ok().filter(|name| !name.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        log::warn!(target: "memgate::server", "the service manager was not told: {error}");
    }
}

/// A name that begins with `@` is in no folder.
fn send(socket: &str, state: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    from.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_the_one_that_was_set_for_this_process() {
        let told = |micros, whose| watchdog_of(micros, whose, 7);

        assert_eq!(told("3000000", None), Some(Duration::from_secs(3)));
        assert_eq!(told("3000000", Some("7")), Some(Duration::from_secs(3)));
        assert_eq!(told("3000000", Some("8")), None, "another's");
        assert_eq!(told("0", None), None);
        assert_eq!(told("soon", None), None);
    }

    #[test]
    fn it_is_told_by_a_socket_of_either_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let named = UnixDatagram::bind(&path).unwrap();
        let unnamed = format!("memgate-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&unnamed).unwrap();
        let abstracted = UnixDatagram::bind_addr(&address).unwrap();

        send(path.to_str().unwrap(), "READY=1").unwrap();
        send(&format!("@{unnamed}"), "STOPPING=1").unwrap();

        let mut heard = [0; 64];
        let length = named.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        let length = abstracted.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"STOPPING=1");
        assert!(send("/nowhere/at/all", "READY=1").is_err());
    }
}
