//! Is there a Set-Cookie that makes the jar keep what it may not, or send what the next hop reads otherwise?
#![no_main]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use memgate::cookies::{CookieJars, Jar, Site};
use tempfile::TempDir;

const HOST: &str = "api.example.com";
const SHARED: [&str; 3] = ["cf_clearance", "__cf_bm", "__Secure-c"];
const PATHS: [&str; 4] = ["/", "/v1", "/v1/messages", "/v3/https://x/v1"];
/// So many cookies are never too many for a jar.
const MOST_LINES: usize = 40;
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 86_400);
/// A restart within it loses no cookie that has no end of its own.
const HALF_A_DAY: Duration = Duration::from_secs(43_200);

fn jars() -> CookieJars {
    CookieJars::new(&SHARED.map(str::to_owned))
}

fn site(path: &'static str) -> Site<'static> {
    Site {
        host: HOST,
        path,
        secure: true,
    }
}

fn sent(jar: &Jar, path: &'static str, now: SystemTime) -> Option<String> {
    let header = jar.header(&site(path), now)?;
    Some(header.value.to_str().expect("printable").to_owned())
}

fn assert_sound(jar: &Jar, now: SystemTime) {
    for cookie in jar.list() {
        assert!(SHARED.contains(&cookie.name.as_str()), "{}", cookie.name);
        assert!(cookie.path.starts_with('/'));
        let domain = cookie.domain.as_str();
        assert!(
            HOST == domain || !cookie.host_only && domain == "example.com",
            "{domain}"
        );
        let life = cookie.expires.map(|end| end.duration_since(now));
        assert!(life.is_none_or(|life| life.is_ok_and(|life| life <= LONGEST_LIFE)));
    }
    for path in PATHS {
        let Some(header) = jar.header(&site(path), now) else {
            continue;
        };
        assert!(header.value.is_sensitive());
        let text = header.value.to_str().expect("printable");
        let pairs: Vec<&str> = text.split("; ").collect();
        assert_eq!(
            pairs.len(),
            header.names.len(),
            "one pair is one cookie: {text}"
        );
        for (pair, name) in pairs.iter().zip(header.names.iter()) {
            let value = pair
                .strip_prefix(name.as_str())
                .and_then(|rest| rest.strip_prefix('='));
            assert!(value.is_some_and(|value| !value.contains(';')), "{text}");
            assert!(pair.len() <= 4097);
        }
    }
    let elsewhere = Site {
        host: "www.example.com",
        ..site("/")
    };
    let plain = Site {
        secure: false,
        ..site("/")
    };
    assert!(jar.header(&elsewhere, now).is_none() && jar.header(&plain, now).is_none());
}

fn assert_survives_a_restart(jars: &CookieJars, now: SystemTime) {
    thread_local!(static FOLDER: TempDir = tempfile::tempdir().expect("a folder"));
    let file = FOLDER.with(|folder| folder.path().join("cookies"));
    let (before, after) = (jars.jar(HOST, "default"), self::jars());
    jars.save(&file, now).expect("it can be written");

    let loaded = after.load(&file, now).expect("it can be read");

    let after = after.jar(HOST, "default");
    assert_eq!((loaded.cookies, loaded.dropped), (before.list().len(), 0));
    for path in PATHS {
        assert_eq!(sent(&before, path, now), sent(&after, path, now));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let path = PATHS[usize::from(choice) % PATHS.len()];
    let mut now = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let lines = text.split(|byte| *byte == b'\n').take(MOST_LINES);
    let lines: Vec<HeaderValue> = lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let answer = |lines: &[HeaderValue]| {
        let fields = lines.iter().map(|line| (SET_COOKIE, line.clone()));
        fields.collect::<HeaderMap>()
    };
    let (together, apart) = (jars(), jars());
    let (jar, one_by_one) = (together.jar(HOST, "default"), apart.jar(HOST, "default"));

    let captured = jar.capture(&answer(&lines), &site(path), now);
    for line in &lines {
        one_by_one.capture(&answer(std::slice::from_ref(line)), &site(path), now);
    }

    assert!(
        captured
            .names
            .iter()
            .all(|name| SHARED.contains(&name.as_str()))
    );
    assert_sound(&jar, now);
    let headers = PATHS.map(|path| sent(&jar, path, now));
    assert_eq!(PATHS.map(|path| sent(&one_by_one, path, now)), headers);
    jar.capture(&answer(&lines), &site(path), now);
    // A cookie that is deleted and set anew goes to the end.
    let sorted = |header: Option<String>| {
        let mut pairs: Vec<String> = header?.split("; ").map(str::to_owned).collect();
        pairs.sort_unstable();
        Some(pairs)
    };
    assert_eq!(
        PATHS.map(|path| sorted(sent(&jar, path, now))),
        headers.map(sorted),
        "the same answer again"
    );
    assert_survives_a_restart(&together, now);
    now += HALF_A_DAY;
    drop(sent(&jar, path, now));
    assert_sound(&jar, now);
    assert_survives_a_restart(&together, now);
});
