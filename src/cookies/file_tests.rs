//! Do the jars come back after a restart, and does a bad file do no more than be reported?

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::cookies::jar::Site;

const HOST: &str = "api.example.com";
const SITE: Site<'_> = Site {
    host: HOST,
    path: "/",
    secure: true,
};

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_762_966_800)
}

fn jars(lines: &[&str]) -> CookieJars {
    let jars = CookieJars::new(&["a".to_owned(), "b".to_owned()]);
    let lines = lines.iter().map(|line| line.as_bytes());
    jars.jar(HOST, "eu").capture_lines(lines, &SITE, now());
    jars
}

fn sent(jars: &CookieJars, now: SystemTime) -> Option<String> {
    let header = jars.jar(HOST, "eu").header(&SITE, now)?;
    Some(header.value.to_str().unwrap().to_owned())
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.json");
    (folder, path)
}

#[test]
fn what_was_saved_comes_back_in_the_same_order() {
    let (_folder, path) = folder();
    let old = jars(&["b=1; Path=/; Max-Age=90", "a=2; Path=/; Domain=example.com"]);

    old.save(&path, now()).unwrap();
    let new = jars(&[]);
    let loaded = new.load(&path, now()).unwrap();

    assert_eq!(
        loaded,
        Loaded {
            cookies: 2,
            dropped: 0
        }
    );
    assert_eq!(sent(&new, now()).as_deref(), Some("b=1; a=2"));
    assert_eq!(new.jar(HOST, "eu").list(), old.jar(HOST, "eu").list());
    assert_eq!(new.jar(HOST, "us").header(&SITE, now()), None);
}

#[test]
fn the_file_is_for_its_owner_alone_and_nothing_is_left_beside_it() {
    let (folder, path) = folder();
    fs::write(&path, "old").unwrap();
    fs::write(suffixed(&path, "new"), "left by a crash").unwrap();

    jars(&["a=1"]).save(&path, now()).unwrap();

    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_expired_meanwhile_is_left_behind() {
    let (_folder, path) = folder();
    jars(&["a=1; Path=/; Max-Age=60", "b=2; Path=/; Max-Age=61"])
        .save(&path, now())
        .unwrap();

    let later = now() + Duration::from_secs(60);
    let new = jars(&[]);
    let loaded = new.load(&path, later).unwrap();

    assert_eq!(
        loaded,
        Loaded {
            cookies: 1,
            dropped: 1
        }
    );
    assert_eq!(sent(&new, later).as_deref(), Some("b=2"));
}

#[test]
fn a_session_cookie_is_taken_over_for_a_day_however_often_it_is_saved() {
    let (_folder, path) = folder();
    jars(&["a=1; Path=/"]).save(&path, now()).unwrap();
    let hours = |hours: u64| now() + Duration::from_secs(hours * 3600);

    let noon = jars(&[]);
    assert_eq!(noon.load(&path, hours(12)).unwrap().cookies, 1);
    noon.save(&path, hours(12)).unwrap();
    let evening = jars(&[]);

    assert_eq!(evening.load(&path, hours(23)).unwrap().cookies, 1);
    assert_eq!(jars(&[]).load(&path, hours(24)).unwrap().dropped, 1);
}

#[test]
fn no_file_is_no_cookies() {
    let (_folder, path) = folder();

    assert_eq!(jars(&[]).load(&path, now()).unwrap(), Loaded::default());
}

#[test]
fn a_damaged_file_is_set_aside_and_never_quoted() {
    for damage in [
        &b"{\"version\":1,\"cookies\":[{\"host\":\"topsecret"[..],
        b"",
        b"\xff\xfe topsecret",
        b"{\"version\":2,\"cookies\":[]}",
        b"{\"version\":1,\"cookies\":[],\"topsecret\":1}",
        b"{\"version\":1,\"cookies\":[{\"host\":\"h\",\"value\":\"topsecret\"}]}",
        &vec![b' '; MAX_FILE as usize + 1],
    ] {
        let (_folder, path) = folder();
        fs::write(&path, damage).unwrap();
        let jars = jars(&[]);

        let error = jars.load(&path, now()).unwrap_err();

        let FileError::Damaged { ref aside, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(
            fs::read(aside).unwrap(),
            damage,
            "kept for people to look at"
        );
        assert!(aside.to_str().unwrap().ends_with(".damaged-1762966800"));
        assert!(!path.exists());
        assert!(
            !format!("{error} {error:?}").contains("topsecret"),
            "{error}"
        );
        jars.save(&path, now()).unwrap();
    }
}

#[test]
fn a_file_cannot_say_what_an_answer_could_not() {
    let entry = |change: &dyn Fn(&mut Entry)| {
        let mut entry = Entry {
            host: HOST.into(),
            egress: "eu".into(),
            name: "a".into(),
            value: "1".into(),
            domain: "example.com".into(),
            host_only: false,
            path: "/".into(),
            expires: Some(seconds(now()) + 60),
            set_at: seconds(now()),
        };
        change(&mut entry);
        jars(&[]).restore(entry, now())
    };

    assert!(entry(&|_| {}));
    for (why, change) in [
        (
            "a name not shared",
            &(|entry: &mut Entry| entry.name = "session".into()) as &dyn Fn(&mut Entry),
        ),
        ("a foreign domain", &|entry| {
            entry.domain = "example.org".into()
        }),
        ("another host's own cookie", &|entry| entry.host_only = true),
        ("a value that ends the header", &|entry| {
            entry.value = "1\r\nx: y".into()
        }),
        ("a value that is two cookies", &|entry| {
            entry.value = "1; b=2".into()
        }),
        ("a value too long", &|entry| entry.value = "v".repeat(4096)),
        ("a path that is none", &|entry| entry.path = "v1".into()),
        ("an expiry long past", &|entry| entry.expires = Some(0)),
        ("a session of the day before", &|entry| {
            (entry.expires, entry.set_at) = (None, 0)
        }),
    ] {
        assert!(!entry(change), "{why}");
    }
    assert!(
        entry(&|entry| entry.expires = Some(u64::MAX)),
        "a far expiry is capped"
    );
    assert!(entry(
        &|entry| (entry.expires, entry.set_at) = (None, u64::MAX)
    ));
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_change_pending() {
    let (folder, path) = folder();
    let jars = jars(&["a=1"]);

    let error = jars.save(&path.join("no/such/folder"), now()).unwrap_err();
    assert!(matches!(error, FileError::Io { .. }), "{error}");
    assert!(jars.dirty());

    jars.save(&path, now()).unwrap();
    assert!(!jars.dirty());
    drop(folder);
}

#[tokio::test]
async fn a_change_wakes_the_saver_and_nothing_else_does() {
    let (_folder, path) = folder();
    let jars = jars(&[]);
    let capture = |line: &'static str| {
        jars.jar(HOST, "eu")
            .capture_lines([line.as_bytes()].into_iter(), &SITE, now());
    };
    assert!(!jars.dirty());

    capture("a=1");
    jars.changed().await;
    assert!(jars.dirty());
    jars.save(&path, now()).unwrap();

    capture("a=1");
    assert!(!jars.dirty(), "the same cookie again is no change");
}

fn later(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

fn set(jars: &CookieJars, line: &str, at: SystemTime) {
    jars.jar(HOST, "eu")
        .capture_lines([line.as_bytes()].into_iter(), &SITE, at);
}

#[test]
fn of_two_that_share_a_file_neither_loses_what_the_other_has_learned() {
    let (_folder, path) = folder();
    let old = jars(&["a=1; Path=/"]);
    old.save(&path, now()).unwrap();
    let new = jars(&[]);
    new.load(&path, later(10)).unwrap();

    set(&old, "b=2; Path=/", later(20));
    old.save(&path, later(21)).unwrap();
    set(&new, "a=3; Path=/", later(22));
    new.save(&path, later(23)).unwrap();
    old.save(&path, later(30)).unwrap();

    assert_eq!(sent(&new, later(31)).as_deref(), Some("a=3; b=2"));
    let third = jars(&[]);
    third.load(&path, later(40)).unwrap();
    assert_eq!(
        sent(&third, later(40)).as_deref(),
        Some("a=3; b=2"),
        "the last to save was the old one, and the newer cookie stays"
    );
}

#[test]
fn what_another_has_saved_is_heard_without_a_save() {
    let (_folder, path) = folder();
    let (old, new) = (jars(&["a=1; Path=/"]), jars(&[]));
    old.save(&path, now()).unwrap();
    new.load(&path, now()).unwrap();
    set(&old, "a=2; Path=/", later(20));
    old.save(&path, later(21)).unwrap();

    new.learn(&path, later(25));

    assert_eq!(sent(&new, later(25)).as_deref(), Some("a=2"));
}

#[test]
fn a_cookie_that_was_withdrawn_does_not_come_back_from_the_file() {
    let (_folder, path) = folder();
    let (old, new) = (jars(&["a=1; Path=/", "b=2; Path=/"]), jars(&[]));
    old.save(&path, now()).unwrap();
    new.load(&path, later(10)).unwrap();
    set(&new, "a=; Path=/; Max-Age=0", later(20));
    new.save(&path, later(21)).unwrap();

    set(&old, "b=3; Path=/", later(30));
    old.save(&path, later(31)).unwrap();
    new.learn(&path, later(35));

    assert_eq!(sent(&new, later(35)).as_deref(), Some("b=3"));
}

#[test]
fn a_damaged_file_teaches_nothing() {
    let (_folder, path) = folder();
    let jars = jars(&["a=1; Path=/"]);
    jars.save(&path, now()).unwrap();
    fs::write(suffixed(&path, "x"), "{\"version\":1,\"cookies\":[{").unwrap();
    fs::rename(suffixed(&path, "x"), &path).unwrap();

    jars.learn(&path, later(10));
    jars.save(&path, later(11)).unwrap();

    assert_eq!(sent(&jars, later(11)).as_deref(), Some("a=1"));
    assert_eq!(self::jars(&[]).load(&path, later(12)).unwrap().cookies, 1);
}

#[test]
fn many_who_save_at_once_never_leave_half_a_file() {
    let (folder, path) = folder();
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let path = &path;
            scope.spawn(move || {
                let jars = jars(&[]);
                for round in 0..50 {
                    set(&jars, &format!("{name}={round}; Path=/"), later(round));
                    jars.save(path, later(round)).unwrap();
                }
            });
        }
    });

    let all = jars(&[]);
    assert_eq!(all.load(&path, later(60)).unwrap().cookies, 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
