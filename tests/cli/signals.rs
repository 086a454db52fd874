//! Signals: TERM stops when idle at once, busy after what is in flight; none of the others kills.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::program::{PATIENCE, Program, World, ask, folder, path, send, turn};

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
fn a_stream_that_goes_on_is_cut_after_five_seconds() {
    let mut world = World::new(&["--event-delay", "60000"]);
    let mut stream = open_stream(&world);

    world.memgate.signal("TERM");
    let (status, after) = world.memgate.end();
    let mut rest = String::new();
    let end = stream.read_to_string(&mut rest);

    assert_eq!(status.code(), Some(0));
    assert!(
        (Duration::from_secs(4)..PATIENCE).contains(&after),
        "{after:?}"
    );
    assert!(
        end.is_err() || !rest.contains("message_stop"),
        "it was not whole: {rest}"
    );
}

#[test]
fn a_second_term_ends_a_busy_gateway_at_once() {
    let mut world = World::new(&["--event-delay", "60000"]);
    let _stream = open_stream(&world);
    world.memgate.signal("TERM");
    world.memgate.line_with("requests in flight");

    world.memgate.signal("TERM");
    let (status, after) = world.memgate.end();

    assert_eq!(status.code(), Some(0));
    assert!(after < AT_ONCE, "{after:?}");
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
            .matches("/health")
            .count()
    };

    ask(address, "/health", "");
    std::fs::rename(&log, &moved).unwrap();
    std::fs::remove_file(path(&files, "usage.jsonl")).unwrap();
    memgate.signal("USR1");
    for _ in 0..2 {
        memgate.line_with("is opened again");
    }
    for _ in 0..3 {
        ask(address, "/health", "");
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
