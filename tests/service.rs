//! The real binary under a service manager, which these tests play: what it is handed, and what it
//! says.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::client::PATIENCE;
use crate::client::tcp::User;
use crate::daemon::{Daemon, errors, home, run, serve};
use crate::talk::stage::Stage;

/// `msimd serve` with two sockets as descriptors 3 and 4, named so. A shell moves them there: that
/// needs no unsafe code here, and gives the number of the process, which only it can know.
fn handed(stage: &Stage, sockets: [&TcpListener; 2], names: &str) -> Command {
    let server = serve(stage);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(r#"export LISTEN_PID=$$; exec "$0" "$@" 3<&0 4>&2 </dev/null 2>"$STDERR""#);
    shell.arg(server.get_program()).args(server.get_args());
    let [first, second] = sockets.map(|s| OwnedFd::from(s.try_clone().expect("a descriptor")));
    shell.stdin(first).stderr(second).stdout(Stdio::piped());
    shell.env("STDERR", errors(stage)).env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
    shell
}

fn socket(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    (listener, address)
}

#[test]
fn a_socket_that_is_handed_over_is_the_door_it_is_named_for() {
    let stage = home(&[]);
    let ((first, http), (second, tcp)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let daemon = Daemon::wait(&stage, handed(&stage, [&first, &second], "http:tcp"));
    assert_eq!((daemon.tcp, daemon.http), (tcp, http));
    let alice = User::enter(tcp, "alice").expect("alice enters");

    // The manager keeps the sockets: who comes between two servers waits for the second.
    daemon.kill();
    let mut early = User::resume(tcp, &alice.session).expect("the kernel takes the call");
    let daemon = Daemon::wait(&stage, handed(&stage, [&first, &second], "http:tcp"));
    assert_eq!(daemon.tcp, tcp);
    early.get("MESSAGE-SEND", &json!({ "chat_id": "alice", "text": "hi" })).expect("an answer");
}

#[test]
fn a_socket_without_a_door_s_name_is_the_door_s_that_has_its_port() {
    let ((first, tcp), (second, http)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let stage =
        home(&[("listen.tcp", &format!("\"{tcp}\"")), ("listen.http", &format!("\"{http}\""))]);
    let daemon = Daemon::wait(&stage, handed(&stage, [&first, &second], "msimd.socket:"));
    assert_eq!((daemon.tcp, daemon.http), (tcp, http), "nobody else could have opened them");
}

#[test]
fn tls_goes_by_where_a_socket_really_is() {
    let stage = home(&[("tls.mode", r#""auto""#)]);
    let ((first, _), (second, _)) = (socket("127.0.0.1:0"), socket("0.0.0.0:0"));
    let mut command = handed(&stage, [&first, &second], "http:tcp");
    let mut server = command.spawn().expect("the binary can be run");
    let stdout = BufReader::new(server.stdout.take().expect("it was asked for"));
    let doors: Vec<String> =
        stdout.lines().map_while(Result::ok).take_while(|l| !l.contains("Ctrl-C")).collect();
    server.kill().expect("a child of this test can be killed");
    server.wait().expect("a child of this test can be waited for");
    let tcp = doors.iter().find(|line| line.contains("TCP")).expect("a door");
    assert!(tcp.contains("msim-tcp://") && tcp.contains("end-cert="), "{doors:?}");
}

#[test]
fn what_is_no_listening_socket_is_refused_in_words() {
    let stage = home(&[]);
    let mut command = serve(&stage);
    let directory = stage.directory.path();
    let shell = r#"export LISTEN_PID=$$; exec "$0" "$@" 3</dev/null"#;
    let mut wrapped = Command::new("sh");
    wrapped.arg("-c").arg(shell).arg(command.get_program()).args(command.get_args());
    wrapped.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "tcp").current_dir(directory);
    let (status, _, said) = run(wrapped);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("descriptor 3 (\"tcp\")") && said.contains("is no socket"), "{said}");
    // Meant for somebody else.
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").stdout(Stdio::piped());
    command.stderr(File::create(errors(&stage)).expect("a file in a directory of the test"));
    drop(Daemon::wait(&stage, command));
}

fn hear(manager: &UnixDatagram) -> String {
    let mut text = [0; 1024];
    let length = manager.recv(&mut text).expect("the server says something");
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// The next that is not a sign of life.
fn hear_news(manager: &UnixDatagram) -> String {
    loop {
        let text = hear(manager);
        if text != "WATCHDOG=1" {
            return text;
        }
    }
}

#[test]
fn the_manager_hears_of_every_turn_in_the_server_s_life() {
    let stage = home(&[]);
    let path = stage.directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket in a directory of the test");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut command = serve(&stage);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "4000000");
    command.stderr(File::create(errors(&stage)).expect("a file in a directory of the test"));
    let mut daemon = Daemon::wait(&stage, command);
    assert_eq!(hear(&manager), "READY=1\nSTATUS=serves im.test");
    assert_eq!(hear(&manager), "WATCHDOG=1");
    daemon.signal(Signal::HUP);
    assert!(hear_news(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear_news(&manager), "READY=1\nSTATUS=serves im.test");
    assert_eq!(hear(&manager), "WATCHDOG=1");
    daemon.signal(Signal::TERM);
    assert!(hear_news(&manager).starts_with("STOPPING=1\n"));
    assert!(daemon.end_within(PATIENCE).is_some_and(|status| status.success()));
}
