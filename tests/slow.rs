//! Clients that are slow, greedy or hostile: they pay for it, nobody else does.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::client::http::Http;
use crate::client::tcp::{self, Tcp, User};
use crate::client::ws::{self, Ws};
use crate::client::{Line, PATIENCE};
use crate::daemon::{Daemon, home};

/// What the server is told to stay within, and does.
const CEILING: u64 = 64 << 20;
/// Two cores, a debug build and other tests beside this one.
const SLACK: Duration = Duration::from_millis(100);

fn daemon(keys: &[(&str, &str)]) -> (crate::talk::stage::Stage, Daemon) {
    let mut stage = home(keys);
    stage.set("memory", r#""64M""#);
    // A test's own choice comes last.
    for (key, value) in keys {
        stage.set(key, value);
    }
    let daemon = Daemon::start(&stage);
    (stage, daemon)
}

/// The time that all but the slowest of a hundred requests take.
fn p99(user: &mut User) -> Duration {
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let start = Instant::now();
            user.get("CHATS-GET", &json!({ "count": 1 })).expect("an answer");
            start.elapsed()
        })
        .collect();
    times.sort();
    times[98]
}

/// Others are served as before: one of three rounds, because this machine has other work too.
fn assert_served(user: &mut User, before: Duration) {
    let best = (0..3).map(|_| p99(user)).min().expect("three rounds");
    assert!(best <= 2 * before + SLACK, "{best:?} now, {before:?} before");
}

fn assert_within_ceiling(daemon: &Daemon) {
    let memory = daemon.memory();
    assert!(memory <= CEILING, "{} MiB", memory >> 20);
}

fn flood(from: &mut User, to: &str, megabytes: usize) {
    let text = "x".repeat(16_000);
    for n in 0..megabytes * 64 {
        let body = json!({ "chat_id": to, "text": format!("{n} {text}") });
        from.get("MESSAGE-SEND", &body).expect("a message is sent");
    }
}

#[test]
fn a_reader_that_never_reads_is_told_to_resync_and_costs_little() {
    let (_stage, daemon) = daemon(&[]);
    let mut lazy = User::enter(daemon.tcp, "lazy").expect("lazy enters");
    let mut bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    let mut carol = User::enter(daemon.tcp, "carol").expect("carol enters");
    flood(&mut bob, "lazy", 1);
    let before = p99(&mut carol);
    // More than its mailbox, our buffer and the kernel's together.
    flood(&mut bob, "lazy", 16);
    assert_within_ceiling(&daemon);
    assert_served(&mut carol, before);
    let body = json!({ "chat_id": "lazy", "text": "the last one" });
    let last = bob.get("MESSAGE-SEND", &body).expect("a message is sent");
    // Now it reads: in order, and in place of what was lost the news that it is to be fetched.
    let (mut known, mut gaps) = (0, Vec::new());
    let last = last["message_id"].as_u64().expect("an id");
    while known < last {
        let push = lazy.hear().expect("pushes, and RESYNC among them");
        let field = if push.kind == "RESYNC" { "last_message_id" } else { "message_id" };
        let id = push.body[field].as_u64().expect("an id");
        assert!(id > known, "{id} after {known}");
        if push.kind == "RESYNC" {
            gaps.push(known);
        }
        known = id;
    }
    let before = *gaps.first().expect("a RESYNC");
    let rest = lazy.get("HISTORY-REWIND", &json!({ "message_id_gt": before, "count": 10 }));
    assert!(!rest.expect("history")["data"].as_array().expect("a list").is_empty());
    bob.get("MESSAGE-SEND", &json!({ "chat_id": "lazy", "text": "hello again" })).expect("sent");
    assert_eq!(lazy.hear().expect("a push").body["text"], "hello again");
}

#[test]
fn a_client_that_asks_and_never_reads_the_answers_is_not_answered_into_memory() {
    let (_stage, daemon) = daemon(&[]);
    let mut bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    let mut carol = User::enter(daemon.tcp, "carol").expect("carol enters");
    User::enter(daemon.tcp, "lazy").expect("lazy enters");
    flood(&mut bob, "lazy", 2);
    let before = p99(&mut carol);
    // Each of these is asking for a megabyte, 500 times.
    let body = br#"{"chat_id":"lazy","id_from":0,"id_till":-1}"#;
    let mut greedy: Vec<Line> = Vec::new();
    for _ in 0..4 {
        let session = crate::client::session_bytes(&bob.session).expect("a session");
        let frames: Vec<u8> = (1..=500)
            .flat_map(|seq| tcp::frame(3, &session, seq, b"CHAT-HISTORY", 0, body))
            .collect();
        let mut line = Line::connect(daemon.tcp).expect("a connection");
        line.send(&frames).expect("requests are sent");
        greedy.push(line);
        let request = format!(
            "POST /v3/CHAT-HISTORY HTTP/1.1\r\nX-Session: {}\r\nContent-Length: {}\r\n\r\n{}",
            bob.session,
            body.len(),
            String::from_utf8_lossy(body)
        );
        let mut line = Line::connect(daemon.http).expect("a connection");
        line.send(request.repeat(500).as_bytes()).expect("requests are sent");
        greedy.push(line);
    }
    assert_served(&mut carol, before);
    assert_within_ceiling(&daemon);
    drop(greedy);
    assert_served(&mut carol, before);
}

#[test]
fn a_thousand_half_open_connections_harm_nobody() {
    allow_files(4096);
    let (_stage, daemon) = daemon(&[("limits.connections", "2000")]);
    let mut carol = User::enter(daemon.tcp, "carol").expect("carol enters");
    let before = p99(&mut carol);
    let idle = daemon.memory();
    let mut half = Vec::new();
    for i in 0..1000 {
        let (address, bytes): (SocketAddr, &[u8]) = match i % 4 {
            0 => (daemon.tcp, b""),
            1 => (daemon.tcp, b"\0\0\0\x03half a head"),
            2 => (daemon.http, b"POST /v3/HELLO HTTP/1.1\r\nContent-Le"),
            _ => (daemon.http, b"POST /v3/HELLO HTTP/1.1\r\nContent-Length: 60000\r\n\r\n{"),
        };
        let mut line = Line::connect(address).expect("a connection");
        line.send(bytes).expect("half of something is sent");
        half.push(line);
    }
    assert_served(&mut carol, before);
    let grown = daemon.memory().saturating_sub(idle);
    assert!(grown < 16 << 20, "{} KiB for a thousand", grown >> 10);
    assert_within_ceiling(&daemon);
    User::enter(daemon.tcp, "dave").expect("there is room for more");
}

#[test]
fn over_the_limit_of_connections_new_ones_are_shut_out_and_those_there_stay() {
    let (_stage, daemon) = daemon(&[("limits.connections", "40")]);
    let mut carol = User::enter(daemon.tcp, "carol").expect("carol enters");
    let mut crowd: Vec<Tcp> = (0..60).filter_map(|_| Tcp::connect(daemon.tcp).ok()).collect();
    let mut served = 0;
    for tcp in &mut crowd {
        let sent = tcp.send(3, None, "HELLO", b"{}");
        served += usize::from(sent.is_ok() && matches!(tcp.receive(), Ok(Some(_))));
    }
    assert!((1..40).contains(&served), "{served} of 60 were served");
    carol.get("CHATS-GET", &json!({})).expect("she was there before");
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    while User::enter(daemon.tcp, "dave").is_err() {
        assert!(Instant::now() < deadline, "nobody gets in any more");
    }
}

#[test]
fn whatever_is_never_finished_is_ended_after_its_time() {
    let (_stage, daemon) = daemon(&[]);
    let start = Instant::now();
    let mut ws = Ws::connect(daemon.http, 3, None).expect("a WebSocket");
    ws.line.send(&ws::frame(true, 1, true, b"half of it")[..8]).expect("sent");
    let mut http = Http::connect(daemon.http).expect("a connection");
    http.post(3, None, "HELLO", b"{}").expect("sent");
    http.receive().expect("an answer");
    http.line.send(b"POST /v3/HELLO HTTP/1.1\r\nContent-Length: 5\r\n\r\n{").expect("sent");
    let mut lines = vec![ws.line, http.line];
    for (address, bytes) in [
        (daemon.tcp, &b"\0\0\0\x03half a head"[..]),
        (daemon.tcp, &tcp::frame(3, &[0; 32], 1, b"HELLO", 0, b"{\"a\":1}")[..54]),
        (daemon.http, b"POST /v3/HELLO HTTP/1.1\r\nContent-Le"),
    ] {
        let mut line = Line::connect(address).expect("a connection");
        line.send(bytes).expect("sent");
        lines.push(line);
    }
    for (i, line) in lines.iter_mut().enumerate() {
        line.rest_within(Duration::from_secs(45)).unwrap_or_else(|e| panic!("{i}: {e}"));
        let took = start.elapsed();
        assert!(took > Duration::from_secs(20), "{i} was ended after {took:?} already");
    }
}

#[test]
fn a_reader_that_takes_nothing_is_given_up() {
    let (_stage, daemon) = daemon(&[]);
    let mut bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    let files = daemon.open_files();
    let mut stuck = User::enter(daemon.tcp, "stuck").expect("stuck enters");
    flood(&mut bob, "stuck", 12);
    // More keeps coming, so that something waits.
    let text = "x".repeat(16_000);
    let deadline = Instant::now() + Duration::from_secs(45);
    while let open = daemon.open_files()
        && open.len() > files.len()
    {
        assert!(Instant::now() < deadline, "{open:?} are open, {files:?} were");
        bob.get("MESSAGE-SEND", &json!({ "chat_id": "stuck", "text": text })).expect("sent");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What the kernel still has, and the end.
    loop {
        match stuck.tcp.receive() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(why) if why.contains("ended within") => break,
            Err(why) => panic!("it is still being served: {why}"),
        }
    }
}

#[test]
fn a_flood_from_one_address_is_told_to_wait_and_others_are_served() {
    // A burst that lets those be measured who behave.
    let (_stage, daemon) = daemon(&[("limits.rate", r#""on""#), ("limits.rate_burst", "1000")]);
    let mut carol = User::enter(daemon.tcp, "carol").expect("carol enters");
    let before = p99(&mut carol);
    let over = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        let floods: Vec<_> =
            (0..2).map(|_| scope.spawn(|| hello_for_ever(daemon.tcp, &over))).collect();
        assert_served(&mut carol, before);
        over.store(true, Ordering::Relaxed);
        floods.into_iter().map(|flood| flood.join().expect("a flood ends")).sum::<u32>()
    });
    assert!(refused > 0, "nobody was told to wait");
    assert_within_ceiling(&daemon);
}

/// How often it was told to wait.
fn hello_for_ever(address: SocketAddr, over: &AtomicBool) -> u32 {
    let stream = connect_from(Ipv4Addr::new(127, 0, 0, 2), address);
    let mut tcp = Tcp::over(Line::over(stream).expect("a connection"));
    let mut refused = 0;
    for round in 0.. {
        // At least so many that the burst is used up.
        if over.load(Ordering::Relaxed) && round > 50 {
            break;
        }
        for _ in 0..50 {
            tcp.send(3, None, "HELLO", b"{}").expect("sent");
        }
        for _ in 0..50 {
            let answer = tcp.receive().expect("an answer").expect("an answer");
            if answer.status == 429 {
                assert!(answer.body["retry_after"].as_u64() >= Some(1), "{answer:?}");
                refused += 1;
            }
        }
    }
    refused
}

/// As many open files as a test needs, where the system allows it.
fn allow_files(wanted: u64) {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_some_and(|current| current < wanted) {
        let current = now.maximum.map_or(wanted, |most| most.min(wanted));
        let limit = Rlimit { current: Some(current), maximum: now.maximum };
        setrlimit(Resource::Nofile, limit).expect("a limit below the hard one");
    }
}

/// A connection from another address of the loopback.
fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddrV4::new(source, 0)).expect("the loopback has many addresses");
    connect(&socket, &address).expect("a connection");
    TcpStream::from(socket)
}

/// A thread of the blocking pool that waits for work wakes up twice a second. `blocking` 1.7.0 keeps
/// every one that it ever needed; the lock file stays with one that lets them go.
#[test]
fn who_hashed_passwords_and_read_at_length_is_gone_when_nobody_asks() {
    let (_stage, daemon) = daemon(&[]);
    let _user = User::enter(daemon.tcp, "alice").expect("a session");
    let late = Instant::now() + PATIENCE;
    while daemon.threads().iter().any(|name| name.starts_with("blocking")) {
        assert!(Instant::now() < late, "{:?}", daemon.threads());
        std::thread::sleep(Duration::from_millis(50));
    }
}
