//! Which keys are taken up at the start alone? What they say in a changed file waits for a restart.

use crate::config::Config;

/// Puts back what runs; the keys that say something else.
pub(super) fn keep_back(config: &mut Config, running: &Config) -> Vec<&'static str> {
    let mut waiting = Vec::new();
    let mut keep = |is_other: bool, key| {
        if is_other {
            waiting.push(key);
        }
    };
    let (now, then) = (&mut config.server, &running.server);
    keep(now.threads != then.threads, "server.threads");
    keep(
        now.work_stealing != then.work_stealing,
        "server.work_stealing",
    );
    keep(now.pid_file != then.pid_file, "server.pid_file");
    keep(
        now.upstream_keepalive_pool_size != then.upstream_keepalive_pool_size,
        "server.upstream_keepalive_pool_size",
    );
    now.clone_from(then);
    keep(config.admin != running.admin, "admin");
    config.admin = running.admin;
    let (now, then) = (&mut config.direct.ca_file, &running.direct.ca_file);
    keep(now != then, "direct.ca_file");
    now.clone_from(then);
    match (&mut config.egress, &running.egress) {
        (None, None) => {}
        (Some(now), Some(then)) => {
            keep(now.listen != then.listen, "egress.listen");
            now.listen = then.listen;
        }
        (now, then) => {
            keep(true, "egress");
            now.clone_from(then);
        }
    }
    let idle = |config: &Config| config.limits.keepalive_timeout;
    // HTTP/1.1 goes by it at once.
    keep(
        idle(config) != idle(running),
        "limits.keepalive_timeout of HTTP/2",
    );
    waiting
}
