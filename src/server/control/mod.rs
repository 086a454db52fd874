//! Who lays a hand on the running gateway? Whoever may write to its socket; each order is logged with its sender.

mod order;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as Bound, UnixStream as Asked};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use self::order::{Order, Said, What};
use super::StartError;
use super::reload::Reload;
use crate::gateway::Gateway;

/// Its owner and group may write.
const MODE: u32 = 0o660;
/// How long somebody may take to say what he wants.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: u64 = 4096;

/// The socket; dropping it removes it.
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: Bound,
}

impl ControlSocket {
    pub(super) fn bind(path: &Path) -> Result<Self, StartError> {
        let failed = |error| StartError::Control {
            path: path.to_owned(),
            error,
        };
        clear(path).map_err(failed)?;
        let listener = Bound::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            listener,
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!(target: "memgate::control", "{} stays behind: {error}", self.path.display());
        }
    }
}

/// What a process left behind that is gone is in nobody's way.
fn clear(path: &Path) -> io::Result<()> {
    let left = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    if left && Asked::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Takes orders.
pub(super) struct Control {
    pub gateway: Arc<Gateway>,
    pub socket: Option<ControlSocket>,
    pub reload: Reload,
    pub stop: watch::Sender<bool>,
}

impl Control {
    /// For ever.
    pub(super) async fn run(&self) {
        let Some(socket) = &self.socket else {
            return std::future::pending().await;
        };
        let again = socket.listener.try_clone();
        let listener = match again.and_then(UnixListener::from_std) {
            Ok(listener) => listener,
            Err(error) => {
                log::error!(target: "memgate::control", "no orders are taken: {error}");
                return std::future::pending().await;
            }
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream).await,
                    Err(error) => {
                        log::error!(target: "memgate::control", "{error}");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
                () = self.next_end() => self.expire(),
            }
        }
    }

    async fn next_end(&self) {
        let snapshot = self.gateway.snapshot();
        let Some(end) = snapshot.valve.next_end() else {
            return std::future::pending().await;
        };
        let wait = end.saturating_duration_since(snapshot.clock.now());
        snapshot.clock.sleep(wait).await;
    }

    fn expire(&self) {
        let snapshot = self.gateway.snapshot();
        for thing in snapshot.valve.expire(snapshot.clock.now()) {
            log::warn!(target: "memgate::control", "{thing}: its time is over, as configured again");
        }
        snapshot.follow_policy();
    }

    /// One after the other: whoever dawdles holds the next one up for seconds, and no request.
    async fn serve(&self, stream: UnixStream) {
        let sender = match stream.peer_cred() {
            Ok(peer) => format!("uid {}, pid {}", peer.uid(), peer.pid().unwrap_or_default()),
            Err(error) => format!("somebody ({error})"),
        };
        let mut stream = BufReader::new(stream).take(LONGEST);
        let mut line = String::new();
        let Ok(Ok(_)) = timeout(PATIENCE, stream.read_line(&mut line)).await else {
            return;
        };
        let said = match serde_json::from_str::<Order>(&line) {
            Err(error) => Err(format!("no order: {error}")),
            Ok(order) => {
                let said = self.obey(&order).await;
                audit(&sender, &order, &said);
                said
            }
        };
        let said = Said {
            done: said.is_ok(),
            text: said.unwrap_or_else(|why| why),
        };
        let Ok(answer) = serde_json::to_vec(&said) else {
            return;
        };
        // Whoever does not listen has had his way all the same.
        let _ = timeout(PATIENCE, stream.get_mut().write_all(&answer)).await;
    }

    async fn obey(&self, order: &Order) -> Result<String, String> {
        match order.what {
            What::Drain => {
                // Nobody listening any more is no reason not to stop.
                let _ = self.stop.send(true);
                Ok("draining".to_owned())
            }
            What::Reload => self.reload.now().await.map(|()| "reloaded".to_owned()),
            _ => order.carry_out(&self.gateway),
        }
    }
}

fn audit(sender: &str, order: &Order, said: &Result<String, String>) {
    match said {
        Ok(_) if order.what == What::Show => {}
        Ok(done) => log::warn!(target: "memgate::control", "{sender}: {done}"),
        Err(why) => log::warn!(target: "memgate::control", "{sender}: refused: {why}"),
    }
}
