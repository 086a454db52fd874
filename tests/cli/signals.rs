//! Signals: TERM stops when idle at once, busy after what is in flight; none of the others kills.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{PATIENCE, Program, World, ask, ask_to_stay, folder, path, send, turn};

/// A machine with other things to do takes its time; sooner than what is in flight would be cut.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A stream whose head and first event have come.
fn open_stream(world: &World) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(send(
        world.address,
        "/v1/messages",
        &turn("claude-sonnet-4.5", true),
    ));
    let mut line = String::new();
    while !line.starts_with("event: message_start") {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
    stream
}

fn refuses(address: SocketAddr) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if TcpStream::connect(address).is_err() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn term_ends_an_idle_gateway_at_once() {
    for signal in ["TERM", "INT"] {
        let mut world = World::new(&[]);
        ask(world.address, "/health", "");

        world.memgate.signal(signal);
        let (status, after) = world.memgate.end();

        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(after < AT_ONCE, "{signal} {after:?}");
    }
}

#[test]
fn term_lets_a_stream_finish_takes_nothing_new_and_then_ends() {
    let mut world = World::new(&["--event-delay", "150", "--deltas", "8"]);
    let mut stream = open_stream(&world);

    world.memgate.signal("TERM");
    let refused = refuses(world.address);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let (status, after) = world.memgate.end();

    assert!(refused, "new clients are turned to another instance");
    assert!(rest.contains("event: message_stop"), "{rest}");
    assert_eq!(status.code(), Some(0));
    assert!(after < AT_ONCE, "{after:?} after the stream's end");
}

#[test]
fn a_stream_that_outlasts_the_drain_ends_with_an_error_event() {
    let mut world = World::with(&["--event-delay", "60000"], "drain: {timeout: 300ms}");
    let mut stream = open_stream(&world);

    world.memgate.signal("TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let (status, _) = world.memgate.end();

    assert_eq!(status.code(), Some(0));
    assert!(rest.contains("event: error"), "{rest}");
    assert!(rest.contains("the gateway stopped in mid-stream"), "{rest}");
}

#[test]
fn a_second_term_changes_nothing_and_a_persons_second_interrupt_ends_it() {
    let mut world = World::with(&["--event-delay", "60000"], "drain: {timeout: 10m}");
    let mut stream = open_stream(&world);
    world.memgate.signal("TERM");
    world.memgate.line_with("requests in flight");

    let refused = refuses(world.address);
    world.memgate.signal("TERM");
    world.memgate.line_with("already stopping");
    world.memgate.signal("INT");
    let (status, after) = world.memgate.end();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();

    assert!(
        refused,
        "nobody waits for a gateway that only ends what it has"
    );
    assert_eq!(status.code(), Some(0));
    assert!(after < AT_ONCE, "{after:?}");
    assert!(rest.contains("event: error"), "{rest}");
}

#[test]
fn in_the_grace_it_says_that_it_stops_and_serves_whoever_still_comes() {
    let mut world = World::with(&[], "drain: {grace: 3s}");
    let admin = world.admin();
    assert!(ask(admin, "/readyz", "").starts_with("HTTP/1.1 200"));

    world.memgate.signal("TERM");
    world.memgate.line_with("still accepting");
    let ready = ask(admin, "/readyz", "");
    let kept_alive = turn("claude-sonnet-4.5", false);
    let late = ask_to_stay(world.address, "/v1/messages", &kept_alive);
    let refused = refuses(world.address);
    let (status, _) = world.memgate.end();

    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("draining"), "{ready}");
    assert!(late.starts_with("HTTP/1.1 200"), "{late}");
    let head = late.to_lowercase();
    assert!(head.contains("\r\nconnection: close\r\n"), "{late}");
    assert!(refused, "after the grace");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn who_is_connected_when_it_stops_may_still_ask_and_is_told_to_go_elsewhere() {
    // On a busy machine the client may come too late.
    for _ in 0..10 {
        let mut world = World::new(&[]);
        let fresh = connected(world.address);
        let mut kept = BufReader::new(connected(world.address));
        kept.get_mut().write_all(HEALTH.as_bytes()).unwrap();
        let first = head_of(&mut kept);
        kept.read_exact(&mut vec![0; length_of(&first)]).unwrap();

        world.memgate.signal("TERM");
        let last_let_in = last_connection(world.address);
        let answers = [BufReader::new(fresh), kept].map(|mut connection| {
            // It may be gone.
            let _ = connection.get_mut().write_all(HEALTH.as_bytes());
            head_of(&mut connection)
        });
        if last_let_in.elapsed() > Duration::from_millis(900) {
            continue;
        }

        assert!(first.contains("connection: keep-alive"), "{first}");
        for answer in answers {
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        }
        let (status, after) = world.memgate.end();
        assert_eq!(status.code(), Some(0));
        assert!(after < AT_ONCE, "{after:?}");
        return;
    }
    panic!("this machine is too busy");
}

/// When somebody new was let in for the last time.
fn last_connection(address: SocketAddr) -> Instant {
    let mut last = Instant::now();
    while TcpStream::connect(address).is_ok() {
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
    }
    last
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// In small letters; empty if nothing came.
fn head_of(connection: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && connection.read_line(&mut head).is_ok_and(|read| read > 0)
    {
    }
    head.to_lowercase()
}

fn length_of(head: &str) -> usize {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.unwrap().parse().unwrap()
}

#[test]
fn a_hup_before_it_is_ready_is_not_lost() {
    let files = folder(&[]);
    let pipe = path(&files, "memgate.yaml");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // Whoever opens it waits until the other side is there.
    let say = || std::fs::write(&pipe, "listen: ['127.0.0.1:0']\nadmin: off\n").unwrap();
    let mut memgate = Program::start(&["run", "--config", &pipe]);
    let mut reading = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();

    memgate.signal("HUP");
    reading
        .write_all(b"listen: ['127.0.0.1:0']\nadmin: off\n")
        .unwrap();
    drop(reading);
    memgate.line_with("SIGHUP: reading the configuration again");
    say();

    memgate.line_with("reloaded");
    memgate.signal("TERM");
    assert_eq!(memgate.end().0.code(), Some(0));
}

#[test]
fn a_service_manager_with_a_watchdog_hears_that_all_is_well_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "200000"),
    ];

    let _world = World::in_environment(&[], "", &variables);
    let mut heard = Vec::new();
    while heard.iter().filter(|word| *word == "WATCHDOG=1").count() < 5 {
        let mut word = [0; 256];
        let length = manager.recv(&mut word).unwrap();
        heard.push(String::from_utf8_lossy(&word[..length]).into_owned());
    }

    assert!(heard.contains(&"READY=1".to_owned()), "{heard:?}");
}

#[test]
fn hup_usr1_and_quit_never_kill() {
    let mut world = World::new(&[]);
    let _stream = open_stream(&world);

    for signal in ["HUP", "USR1", "QUIT"] {
        world.memgate.signal(signal);
        world.memgate.line_with(&format!("SIG{signal}"));
        let answer = ask(
            world.address,
            "/v1/messages",
            &turn("claude-sonnet-4.5", false),
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{signal}: {answer}");
    }
    world.memgate.signal("TERM");
    let (status, _) = world.memgate.end();

    assert_eq!(status.code(), Some(0));
}

#[test]
fn hup_takes_a_changed_configuration_up_and_leaves_a_faulty_one() {
    let mut world = World::new(&[]);
    let answer =
        |world: &World, model: &str| ask(world.address, "/v1/messages", &turn(model, false));
    let (own, models) = (world.read("memgate.yaml"), world.read("config.yaml"));
    world.memgate.line_with("ready");

    world.rewrite(
        "config.yaml",
        &models.replace("claude-sonnet-4.5", "newcomer"),
    );
    world.rewrite("memgate.yaml", &format!("{own}\nretri: {{attempts: 3}}\n"));
    world.memgate.signal("HUP");
    let why = world.memgate.line_with("stays as it was");
    let (old, new) = (
        answer(&world, "claude-sonnet-4.5"),
        answer(&world, "newcomer"),
    );
    world.rewrite("memgate.yaml", &own);
    world.memgate.signal("HUP");
    world.memgate.line_with("reloaded");
    let taken = answer(&world, "newcomer");

    assert!(why.contains("did you mean `retry`?"), "{why}");
    assert!(old.contains("x-memgate-route: direct"), "{old}");
    assert!(!new.contains("x-memgate-route: direct"), "{new}");
    assert!(taken.contains("x-memgate-route: direct"), "{taken}");
}

#[test]
fn a_service_manager_hears_of_each_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut heard = [0; 256];
        let length = manager.recv(&mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };

    let socket = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut world = World::in_environment(&[], "", &socket);
    let ready = hear();
    let answers = ask(world.address, "/health", "");
    world.memgate.signal("HUP");
    let (reloading, again) = (hear(), hear());
    world.memgate.signal("TERM");
    let stopping = hear();
    let (status, _) = world.memgate.end();

    assert_eq!(ready, "READY=1");
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(
        since.is_some_and(|micros| micros.parse::<u64>().is_ok()),
        "{reloading}"
    );
    assert_eq!(again, "READY=1");
    assert_eq!(stopping, "STOPPING=1");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn hup_usr1_and_quit_do_not_kill_while_it_stops_either() {
    let mut world = World::new(&["--event-delay", "150", "--deltas", "8"]);
    let mut stream = open_stream(&world);
    world.memgate.signal("TERM");
    world.memgate.line_with("requests in flight");

    for signal in ["HUP", "USR1", "QUIT"] {
        world.memgate.signal(signal);
    }
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    let (status, _) = world.memgate.end();

    assert!(rest.contains("event: message_stop"), "{rest}");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn usr1_makes_new_log_files_and_the_end_writes_all_of_them() {
    let files = folder(&[(
        "memgate.yaml",
        "listen: ['127.0.0.1:0']\nadmin: off\nlog: {access: access.log}\nusage_log: {file: usage.jsonl}\n",
    )]);
    let mut memgate = Program::start(&["run", "--config", &path(&files, "memgate.yaml")]);
    let address = memgate.address_after("serving on");
    let (log, moved) = (path(&files, "access.log"), path(&files, "access.log.1"));
    let ids = |file: &str| {
        std::fs::read_to_string(file)
            .unwrap()
            .matches("/memory-routing/info")
            .count()
    };

    ask(address, "/memory-routing/info", "");
    std::fs::rename(&log, &moved).unwrap();
    std::fs::remove_file(path(&files, "usage.jsonl")).unwrap();
    memgate.signal("USR1");
    for _ in 0..2 {
        memgate.line_with("is opened again");
    }
    for _ in 0..3 {
        ask(address, "/memory-routing/info", "");
    }
    memgate.signal("TERM");
    let (status, _) = memgate.end();

    assert_eq!(status.code(), Some(0));
    assert_eq!((ids(&moved), ids(&log)), (1, 3));
    let usage = std::fs::read_to_string(path(&files, "usage.jsonl")).unwrap();
    assert_eq!(usage, "", "what the gateway answers itself takes nothing");
}

#[test]
fn hup_does_not_kill_a_gateway_that_just_says_it_serves() {
    let mut world = World::new(&[]);

    for signal in ["HUP", "USR1", "QUIT"] {
        world.memgate.signal(signal);
    }

    assert!(ask(world.address, "/health", "").starts_with("HTTP/1.1 200"));
    world.memgate.signal("TERM");
    assert_eq!(world.memgate.end().0.code(), Some(0));
}
