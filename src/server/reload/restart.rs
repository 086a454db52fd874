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
        now.control_socket != then.control_socket,
        "server.control_socket",
    );
    keep(
        now.upstream_keepalive_pool_size != then.upstream_keepalive_pool_size,
        "server.upstream_keepalive_pool_size",
    );
    now.clone_from(then);
    keep(config.log != running.log, "log");
    config.log.clone_from(&running.log);
    keep(config.usage_log != running.usage_log, "usage_log");
    config.usage_log.clone_from(&running.usage_log);
    keep(config.traces != running.traces, "traces");
    config.traces.clone_from(&running.traces);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Env, Sources};

    fn config(own: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memgate.yaml");
        fs::write(&path, own).unwrap();
        let sources = Sources {
            config: Some(path),
            ..Sources::new(Env::from_pairs([]))
        };
        let loaded = Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.config
    }

    #[test]
    fn what_is_taken_up_at_the_start_alone_stays_as_it_runs_and_is_named() {
        let running = config("server: {threads: 2}\negress: {}");
        let mut new = config(
            "server: {threads: 3, work_stealing: true}\nadmin: off\negress: {listen: '127.0.0.1:9999', allow: [a.example]}\nretry: {attempts: 7}\nlimits: {keepalive_timeout: 5s}",
        );

        let waiting = keep_back(&mut new, &running);

        assert_eq!(
            waiting,
            [
                "server.threads",
                "server.work_stealing",
                "admin",
                "egress.listen",
                "limits.keepalive_timeout of HTTP/2"
            ]
        );
        assert_eq!(new.server, running.server);
        assert_eq!(new.admin, running.admin);
        let egress = new.egress.unwrap();
        assert_eq!(egress.listen, running.egress.unwrap().listen);
        assert_eq!(egress.allow, ["a.example"], "this needs no restart");
        assert_eq!(new.retry.attempts, 7);
    }

    #[test]
    fn a_way_out_for_litellm_neither_comes_nor_goes() {
        let (with, without) = (config("egress: {}"), config(""));
        let (mut gone, mut new) = (without.clone(), with.clone());

        assert_eq!(keep_back(&mut gone, &with), ["egress"]);
        assert_eq!(keep_back(&mut new, &without), ["egress"]);

        assert!(gone.egress.is_some() && new.egress.is_none());
        assert_eq!(keep_back(&mut with.clone(), &with), [""; 0]);
    }
}
