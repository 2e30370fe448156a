//! The real binary, killed in the middle of its work, stopped in order, and refused a start.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::PATIENCE;
use crate::client::tags::Tags;
use crate::client::tcp::User;
use crate::daemon::{Daemon, home, msimd, run, serve};

const SENDERS: usize = 20;
/// Answers before the axe falls, each round.
const ANSWERS: usize = 400;

/// A sender and what it was told.
#[derive(Debug)]
struct Sender {
    session: String,
    /// By cookie.
    told: BTreeMap<String, u64>,
    /// Sent, and no answer came: the outcome is unknown.
    open: Option<String>,
}

fn message(cookie: &str) -> Value {
    json!({ "chat_id": "hub", "text": format!("text of {cookie}"), "cookie": cookie })
}

#[test]
fn kill_dash_nine_under_twenty_senders_loses_nothing_that_was_answered_or_pushed() {
    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    let mut hub = User::enter(daemon.tcp, "hub").expect("the hub enters");
    let mut senders: Vec<Sender> = (0..SENDERS)
        .map(|i| Sender {
            session: User::enter(daemon.tcp, &format!("sender{i}")).expect("enters").session,
            told: BTreeMap::new(),
            open: None,
        })
        .collect();
    // What the hub was pushed: id to previous id, and cookie's text.
    let mut pushed: HashMap<u64, (u64, String)> = HashMap::new();
    for round in 0..3 {
        kill_amid(daemon, &mut senders, &mut hub, &mut pushed, round);
        daemon = Daemon::start(&stage);
        hub = User::resume(daemon.tcp, &hub.session).expect("the hub comes back");
        for (i, sender) in senders.iter_mut().enumerate() {
            check(daemon.tcp, sender).unwrap_or_else(|e| panic!("round {round}, sender {i}: {e}"));
        }
        check_pushed(&mut hub, &pushed).unwrap_or_else(|e| panic!("round {round}: {e}"));
    }
    let all: usize = senders.iter().map(|s| s.told.len()).sum();
    assert!(all >= 3 * ANSWERS);
}

/// Twenty people write until the process is gone.
fn kill_amid(
    daemon: Daemon,
    senders: &mut [Sender],
    hub: &mut User,
    pushed: &mut HashMap<u64, (u64, String)>,
    round: usize,
) {
    let answers = AtomicUsize::new(0);
    let address = daemon.tcp;
    std::thread::scope(|scope| {
        for (i, sender) in senders.iter_mut().enumerate() {
            let answers = &answers;
            scope.spawn(move || write_until_it_ends(address, sender, i, round, answers));
        }
        scope.spawn(|| listen_until_it_ends(hub, pushed));
        let deadline = Instant::now() + PATIENCE * 3;
        while answers.load(Ordering::Relaxed) < ANSWERS {
            assert!(Instant::now() < deadline, "{answers:?} answers are too few");
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.kill();
    });
}

fn write_until_it_ends(
    address: SocketAddr,
    sender: &mut Sender,
    i: usize,
    round: usize,
    answers: &AtomicUsize,
) {
    let mut user = User::resume(address, &sender.session).expect("a sender comes back");
    for n in 0.. {
        let cookie = format!("{round}-{i}-{n}");
        sender.open = Some(cookie.clone());
        match user.ask("MESSAGE-SEND", &message(&cookie)) {
            Ok(answer) if answer.status == 200 => {
                let id = answer.body["message_id"].as_u64().expect("an id");
                sender.told.insert(cookie, id);
                sender.open = None;
                answers.fetch_add(1, Ordering::Relaxed);
            }
            // A stopping server may refuse; nothing was promised then.
            Ok(answer) => assert_eq!(answer.status, 500, "{answer:?}"),
            Err(_) => return,
        }
    }
}

fn listen_until_it_ends(hub: &mut User, pushed: &mut HashMap<u64, (u64, String)>) {
    // Naming the session brings its pushes here.
    if hub.ask("HELLO", &json!({})).is_err() {
        return;
    }
    while let Ok(push) = hub.hear() {
        let number = |name: &str| push.body[name].as_u64().unwrap_or_default();
        if push.kind == "MESSAGE-RECEIVE" {
            let text = push.body["text"].as_str().unwrap_or_default().to_owned();
            pushed.insert(number("message_id"), (number("previous_message_id"), text));
        }
    }
}

/// Every answered message is known by its cookie and stands in the chain.
fn check(address: SocketAddr, sender: &mut Sender) -> Result<(), String> {
    let mut user = User::resume(address, &sender.session)?;
    for (cookie, id) in &sender.told {
        let again = user.ask("MESSAGE-SEND", &message(cookie))?;
        if again.status != 201 || again.body["message_id"] != *id {
            return Err(format!("{cookie} was {id}, again it is {again:?}"));
        }
    }
    // What was under way is there once, or was not: either way it can be sent again.
    if let Some(cookie) = sender.open.take() {
        let again = user.ask("MESSAGE-SEND", &message(&cookie))?;
        let id = again.body["message_id"].as_u64().ok_or_else(|| format!("{again:?}"))?;
        if !matches!(again.status, 200 | 201) || sender.told.values().any(|known| *known == id) {
            return Err(format!("{cookie}, unanswered, is now {again:?}"));
        }
        sender.told.insert(cookie, id);
    }
    check_history(&mut user, &sender.told)
}

fn check_history(user: &mut User, told: &BTreeMap<String, u64>) -> Result<(), String> {
    let (mut after, mut found) = (json!(0), BTreeMap::new());
    loop {
        let body = json!({ "chat_id": "hub", "id_from": after, "count": 500 });
        let page = user.get("CHAT-HISTORY", &body)?;
        for message in page["data"].as_array().ok_or("no data")? {
            if message["previous_message_id"] != after {
                return Err(format!("the chain breaks at {message}"));
            }
            after = message["message_id"].clone();
            let cookie = message["cookie"].as_str().ok_or("no cookie for the author")?;
            if message["text"] != format!("text of {cookie}") {
                return Err(format!("another text: {message}"));
            }
            if found.insert(cookie.to_owned(), after.as_u64().unwrap_or(0)).is_some() {
                return Err(format!("{cookie} is there twice"));
            }
        }
        if page["more"] != true {
            break;
        }
    }
    if found == *told { Ok(()) } else { Err(format!("{} of {}", found.len(), told.len())) }
}

fn check_pushed(hub: &mut User, pushed: &HashMap<u64, (u64, String)>) -> Result<(), String> {
    let (mut after, mut found) = (0, HashMap::new());
    loop {
        let body = json!({ "message_id_gt": after, "count": 500 });
        let page = hub.get("HISTORY-REWIND", &body)?;
        for message in page["data"].as_array().ok_or("no data")? {
            let id = message["message_id"].as_u64().ok_or("no id")?;
            if id <= after {
                return Err(format!("{id} after {after}"));
            }
            after = id;
            let previous = message["previous_message_id"].as_u64().ok_or("no previous id")?;
            found.insert(id, (previous, message["text"].as_str().unwrap_or_default().to_owned()));
        }
        if page["more"] != true {
            break;
        }
    }
    match pushed.iter().find(|(id, what)| found.get(id) != Some(what)) {
        Some((id, what)) => Err(format!("{id} was pushed as {what:?}, is {:?}", found.get(id))),
        None => Ok(()),
    }
}

#[test]
fn sigterm_drains_within_five_seconds_and_nothing_answered_is_lost() {
    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let mut idle = User::enter(daemon.tcp, "hub").expect("the hub enters");
    let sent = alice.get("MESSAGE-SEND", &message("c")).expect("a message is sent");
    let asked = Instant::now();
    daemon.signal(Signal::TERM);
    let status = daemon.end_within(Duration::from_secs(20)).expect("it ends");
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    // Its clients were told the stream's end, nothing was left hanging.
    while let Ok(Some(_)) = idle.tcp.receive() {}
    drop(daemon);

    let daemon = Daemon::start(&stage);
    let mut alice = User::resume(daemon.tcp, &alice.session).expect("alice comes back");
    let again = alice.ask("MESSAGE-SEND", &message("c")).expect("an answer");
    assert_eq!((again.status, &again.body["message_id"]), (201, &sent["message_id"]));
}

#[test]
fn sigint_stops_it_too() {
    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    daemon.signal(Signal::INT);
    let status = daemon.end_within(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_operator_stops_it_by_a_word_and_nobody_else_does() {
    let stage = home(&[("operators", r#"["alice"]"#)]);
    let mut daemon = Daemon::start(&stage);
    let mut status = msimd();
    let path = stage.directory.path().join("msimd.toml");
    status.args(["status", "--json", "--config"]).arg(path);
    let status: Value = serde_json::from_str(&run(status).1).expect("JSON");
    let door: SocketAddr = status["doors"]["tags"].as_str().unwrap_or("").parse().expect("a door");
    let enter = |name: &str| {
        let mut tags = Tags::connect(door).expect("a door that is open");
        tags.send(&format!("NEW USR {name} secret")).expect("a line goes out");
        // Everything that is shown to whoever comes.
        while !tags.receive().expect("a line").expect("more to come").starts_with("GRP 0") {}
        tags
    };
    let (mut alice, mut bob) = (enter("alice"), enter("bob"));
    bob.send("EXT").expect("a line goes out");
    let refused = bob.receive().expect("a line").expect("an answer");
    assert_eq!(refused, "ERR that is not allowed here");
    alice.send("EXT").expect("a line goes out");
    let status = daemon.end_within(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert_eq!(bob.receive(), Ok(Some("BYE".into())));
}

#[test]
fn a_second_server_on_the_same_database_says_so_and_leaves_the_first_alone() {
    let stage = home(&[]);
    let daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let (status, _, errors) = run(serve(&stage));
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("msimd.redb") || errors.contains("data"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    alice.get("CHATS-GET", &json!({})).expect("the first one serves on");
}

#[test]
fn a_bad_configuration_is_named_and_ends_with_two() {
    for (key, value) in [
        ("limits.mailbox", "\"many\""),
        ("limits.no_such_key", "1"),
        ("no_such_key", "1"),
        ("registration", "\"perhaps\""),
        ("listen.tcp", "\"nowhere\""),
        ("server_name", "\"not a name\""),
    ] {
        let stage = home(&[(key, value)]);
        let (status, _, errors) = run(serve(&stage));
        assert_eq!(status.code(), Some(2), "{key} = {value}: {errors}");
        let name = key.rsplit('.').next().unwrap_or(key);
        assert!(errors.contains(name) || errors.contains(value.trim_matches('"')), "{errors}");
        assert!(!stage.directory.path().join("data").exists(), "{key}: something was made");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [&["no-such-command"][..], &["serve", "--no-such-option"]] {
        let mut command = msimd();
        command.args(arguments);
        let (status, _, errors) = run(command);
        assert_eq!(status.code(), Some(2), "{arguments:?}: {errors}");
    }
}

/// Where its directory is all that a command is told, the address is the server's still.
#[test]
fn a_command_names_the_address_that_the_running_server_has() {
    let stage = home(&[]);
    let daemon = Daemon::start(&stage);
    User::enter(daemon.tcp, "alice").expect("alice enters");
    for (action, told) in [
        (&["disable", "alice"][..], "alice@im.test is disabled"),
        (&["enable", "alice"], "alice@im.test is enabled"),
        (&["app-password", "alice", "--name", "phone"], "an app password for alice@im.test"),
        (&["app-password", "alice", "--revoke", "phone"], "phone of alice@im.test is revoked"),
    ] {
        let mut command = msimd();
        command.arg("user").args(action).arg("--data").arg(stage.directory.path());
        let (status, output, errors) = run(command);
        assert_eq!(status.code(), Some(0), "{action:?}: {errors}");
        assert!(output.contains(told) || errors.contains(told), "{action:?}: {output}{errors}");
    }
}

#[test]
fn a_foreign_file_is_named_and_not_touched() {
    let stage = home(&[]);
    let data = stage.directory.path().join("data");
    let path = data.join("msimd.redb");
    Daemon::start(&stage).kill();
    let whole = fs::read(&path).expect("the database can be read");
    let mut noise = crate::noise::Noise::new(5);
    let mut foreign = vec![0; 300_000];
    noise.fill(&mut foreign);
    for bytes in [foreign, b"SQLite format 3\0".repeat(1000), vec![0; 50_000], vec![1; 10]] {
        fs::write(&path, &bytes).expect("a file can be written");
        let (status, _, errors) = run(serve(&stage));
        assert_eq!(status.code(), Some(1), "{} bytes: {errors}", bytes.len());
        assert!(errors.contains("msimd.redb"), "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert_eq!(fs::read(&path).expect("still there"), bytes, "it was touched");
    }
    fs::write(&path, &whole).expect("a file can be written");
    Daemon::start(&stage).kill();
}
