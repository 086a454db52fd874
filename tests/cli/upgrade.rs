//! `memgate upgrade`: who is started, who is stopped, and what happens when the new one does not serve.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::program::command;

/// A service manager by script: units that run have a file each; what it was told stands in `log`.
struct Manager(tempfile::TempDir);

impl Manager {
    /// `broken`: units that do not start.
    fn with(running: &[&str], broken: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let script = format!(
            "#!/bin/sh\ncd {at}\necho \"$*\" >>log\nfor last; do :; done\ncase \"$*\" in\n\
             *is-active*) [ -e \"$last\" ] ;;\n\
             *start*) [ \"$last\" != '{broken}' ] && : >\"$last\" ;;\n\
             *stop*) rm -f \"$last\" ;;\nesac\n"
        );
        let path = folder.path().join("systemctl");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        for unit in running {
            fs::write(folder.path().join(unit), "").unwrap();
        }
        Self(folder)
    }

    fn upgrade(&self, more: &[&str]) -> Output {
        let mut path = self.0.path().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = command(&[&["upgrade"], more].concat());
        command.env("PATH", path).output().unwrap()
    }

    fn runs(&self, unit: &str) -> bool {
        self.0.path().join(unit).exists()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap()
    }
}

const A: &str = "memgate@a.service";
const B: &str = "memgate@b.service";

#[test]
fn the_other_instance_is_started_before_the_first_is_stopped() {
    for (old, new) in [(A, B), (B, A)] {
        let manager = Manager::with(&[old], "");

        let output = manager.upgrade(&[]);

        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(manager.runs(new) && !manager.runs(old));
        let log = manager.log();
        let at = |order: String| log.find(&order).unwrap();
        assert!(
            at(format!("start {new}")) < at(format!("stop {old}")),
            "{log}"
        );
    }
}

#[test]
fn where_the_new_one_does_not_serve_the_old_one_goes_on() {
    let manager = Manager::with(&[A], B);

    let output = manager.upgrade(&[]);

    assert_eq!(output.status.code(), Some(1));
    assert!(manager.runs(A) && !manager.runs(B));
    assert!(!manager.log().contains(&format!("stop {A}")));
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(says.contains("did not become ready"), "{says}");
}

#[test]
fn where_none_runs_one_is_started_and_where_both_do_nothing_is_done() {
    let (none, both) = (Manager::with(&[], ""), Manager::with(&[A, B], ""));

    let started = none.upgrade(&["--user"]);
    let refused = both.upgrade(&[]);

    assert_eq!(started.status.code(), Some(0));
    assert!(none.runs(A) && !none.runs(B));
    assert!(none.log().contains("--user start"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(both.runs(A) && both.runs(B));
}
