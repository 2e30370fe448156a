//! What an operator does and sees, with the real binary.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json as object};

use crate::client::tcp::User;
use crate::daemon::{Daemon, home, msimd, run};
use crate::talk::stage::Stage;

/// A command on the directory of `stage`, its configuration and all.
pub fn command(stage: &Stage, words: &[&str]) -> (Option<i32>, String, String) {
    let path = stage.directory.path().join("msimd.toml");
    fs::write(&path, stage.toml()).expect("a file in a directory of the test");
    let mut command = msimd();
    command.args(words).arg("--config").arg(path);
    let (status, output, errors) = run(command);
    assert!(!errors.contains("panicked"), "{words:?}: {errors}");
    (status.code(), output, errors)
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

pub fn data(stage: &Stage) -> PathBuf {
    stage.directory.path().join("data")
}

pub fn send(who: &mut User, chat: &str, text: &str) -> u64 {
    let body = object!({ "chat_id": chat, "text": text });
    let sent = who.get("MESSAGE-SEND", &body).expect("a message is sent");
    sent["message_id"].as_u64().expect("an id")
}

pub fn texts(who: &mut User, chat: &str) -> Vec<String> {
    let all = object!({ "chat_id": chat, "id_from": 0, "id_till": -1 });
    let page = who.get("CHAT-HISTORY", &all).expect("a history");
    let messages = page["data"].as_array().expect("messages").iter();
    messages.map(|m| m["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Flips a bit in the middle of the one place where a file has these bytes.
pub fn rot(file: &Path, what: &str) {
    let mut bytes = fs::read(file).expect("the file can be read");
    let found: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what.as_bytes())).collect();
    assert!(!found.is_empty(), "{what:?} is not in {}", file.display());
    for at in found {
        bytes[at + what.len() / 2] ^= 1;
    }
    fs::write(file, bytes).expect("the file can be written");
}

/// SHA-256 of the certificate in base64 of the URL alphabet, by hand from its file.
fn pin_of(stage: &Stage) -> String {
    let pem = fs::read_to_string(stage.directory.path().join("data/cert.pem")).expect("a file");
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let letter = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut der = Vec::new();
    for four in lines.trim_end_matches('=').as_bytes().chunks(4) {
        let word = four.iter().fold(0_u32, |word, c| word << 6 | u32::from(letter(*c)));
        let bytes = (word << (6 * (4 - four.len()) + 8)).to_be_bytes();
        der.extend_from_slice(&bytes[..four.len() - 1]);
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, &der);
    crate::client::base64(hash.as_ref()).replace('+', "-").replace('/', "_")
}

#[test]
fn beyond_the_loopback_the_address_pins_a_key_that_was_made_and_is_shown_again() {
    let stage = home(&[("listen.tcp", r#""0.0.0.0:0""#), ("server_name", r#""127.0.0.1""#)]);
    let daemon = Daemon::start(&stage);
    let end = format!("?end-cert={}", pin_of(&stage));
    assert!(daemon.told.contains(&end), "{end} in {}", daemon.told);
    let (code, status, _) = command(&stage, &["status", "--json"]);
    assert_eq!(code, Some(0));
    let addresses = json(&status)["addresses"].clone();
    for (door, port) in [("tcp", daemon.tcp.port()), ("http", daemon.http.port())] {
        let address = addresses[door].as_str().expect("an address");
        assert!(address.starts_with(&format!("msim-{door}://")), "{address}");
        assert!(address.contains(&format!(":{port}")) && address.ends_with(&end), "{address}");
        assert!(daemon.told.contains(address), "{address} in {}", daemon.told);
    }
    let (_, plain, _) = command(&stage, &["status"]);
    let (_, drawn, _) = command(&stage, &["status", "--qr"]);
    assert!(plain.contains(&end) && !plain.contains('█'), "{plain}");
    assert!(drawn.contains("████ ▄▄▄▄▄ "), "{drawn}");
    drop(daemon);
    // The key pair is the same after every start.
    let daemon = Daemon::start(&stage);
    assert!(daemon.told.contains(&end), "{end} in {}", daemon.told);
}

#[test]
fn an_invitation_is_an_address_whether_a_server_runs_or_not() {
    let keys = [("listen.tcp", r#""127.0.0.1:4217""#), ("tls.mode", r#""self-signed""#)];
    let stage = home(&keys);
    let (code, told, errors) = command(&stage, &["invite", "--qr"]);
    assert_eq!(code, Some(0), "{errors}");
    let lines: Vec<&str> = told.lines().collect();
    let pin = pin_of(&stage);
    let address = format!("msim-tcp://127.0.0.1:4217?end-cert={pin}&invite={}", lines[0]);
    // The HTTP door has no port before it is open.
    assert_eq!(lines[1], address);
    assert!(told.contains("████ ▄▄▄▄▄ "), "{told}");

    let mut stage = home(&[("registration", r#""invite""#)]);
    stage.set("tls.mode", r#""off""#);
    let daemon = Daemon::start(&stage);
    let (code, told, _) = command(&stage, &["invite", "--uses", "2", "--json"]);
    assert_eq!(code, Some(0));
    let told = json(&told);
    let invite = told["code"].as_str().expect("a code");
    let address = format!("msim-http-insecure://{}/?invite={invite}", daemon.http);
    assert_eq!(told["addresses"]["http"], address);
}

#[test]
fn a_backup_made_while_people_talk_brings_the_whole_server_back() {
    let keys = [("tls.mode", r#""off""#), ("registration", r#""open""#)];
    let stage = home(&keys);
    let daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let _bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    send(&mut alice, "bob", "before the backup");
    fs::write(data(&stage).join("secrets.key"), [7; 32]).expect("a key");
    fs::create_dir(data(&stage).join("files")).expect("a directory");
    fs::write(data(&stage).join("files/1"), "a picture").expect("a file");
    let backup = stage.directory.path().join("backup.tar");
    let name = backup.to_str().expect("UTF-8");
    let (code, told, errors) = command(&stage, &["backup", name]);
    assert_eq!(code, Some(0), "{told}{errors}");
    assert!(told.contains("is written and verified: 2 accounts, 1 chats, 1 messages"), "{told}");
    let (code, _, errors) = command(&stage, &["backup", name]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("never overwrites"), "{errors}");
    send(&mut alice, "bob", "after the backup");
    let (code, _, errors) = command(&stage, &["restore", name]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("a server runs on this database; stop it first"), "{errors}");
    daemon.kill();

    let (code, told, errors) = command(&stage, &["verify", name]);
    assert_eq!(code, Some(0), "{told}{errors}");
    // Onto another machine.
    let other = home(&keys);
    let (code, told, errors) = command(&other, &["restore", name]);
    assert_eq!(code, Some(0), "{told}{errors}");
    assert!(errors.contains("msimd.toml.restored"), "{errors}");
    assert_eq!(fs::read(data(&other).join("secrets.key")).expect("the key"), [7; 32]);
    assert_eq!(fs::read(data(&other).join("files/1")).expect("the file"), b"a picture");
    let daemon = Daemon::start(&other);
    let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
    assert_eq!(texts(&mut alice, "bob"), ["before the backup"]);
    drop(daemon);
    // And in place of what is there, which is kept.
    let (code, _, errors) = command(&stage, &["restore", name]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("msimd.redb.before-"), "{errors}");
    let daemon = Daemon::start(&stage);
    let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
    assert_eq!(texts(&mut alice, "bob"), ["before the backup"]);
}

#[test]
fn verify_says_which_message_of_whose_chat() {
    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let _bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    send(&mut alice, "bob", "the first");
    let id = send(&mut alice, "bob", "the one that rots");
    daemon.signal(rustix::process::Signal::TERM);
    daemon.end_within(crate::client::PATIENCE).expect("it ends");
    rot(&data(&stage).join("msimd.redb"), "the one that rots");
    let (code, _, errors) = command(&stage, &["verify"]);
    assert_eq!(code, Some(1));
    let named = format!("message {id} of chat ");
    let what = "(alice@im.test and bob@im.test): its check does not match";
    assert!(errors.contains(&named) && errors.contains(what), "{errors}");
}

#[test]
fn backups_of_earlier_versions_are_restored() {
    for (begin, end) in [("schema-", ".redb"), ("backup-", ".tar")] {
        for file in crate::upgrade::kept(begin, end) {
            let stage = home(&[]);
            let (code, told, errors) = command(&stage, &["restore", file.to_str().expect("UTF-8")]);
            assert_eq!(code, Some(0), "{}: {told}{errors}", file.display());
            let daemon = Daemon::start(&stage);
            let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
            assert_eq!(texts(&mut alice, "bob")[0], "Hi Bob");
        }
    }
}

/// A start that is refused: one sentence with what to do, and exit code 1.
fn refused(stage: &Stage, what: &[&str]) -> String {
    let (status, _, errors) = run(crate::daemon::serve(stage));
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    let sentence = errors.lines().last().unwrap_or_default().to_owned();
    assert!(sentence.starts_with("msimd: "), "{errors}");
    for part in what {
        assert!(sentence.contains(part), "{part} in {errors}");
    }
    sentence
}

#[test]
fn a_damaged_message_is_shown_as_gone_and_everything_else_is_served() {
    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let mut bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    send(&mut alice, "bob", "the first");
    let id = send(&mut alice, "bob", "the one that rots");
    send(&mut bob, "alice", "the last");
    daemon.signal(rustix::process::Signal::TERM);
    daemon.end_within(crate::client::PATIENCE).expect("it ends");
    rot(&data(&stage).join("msimd.redb"), "the one that rots");

    let daemon = Daemon::start(&stage);
    let mut bob = User::again(daemon.tcp, "bob").expect("bob logs in");
    assert_eq!(texts(&mut bob, "alice"), ["the first", "(deleted)", "the last"]);
    let chats = bob.get("CHATS-GET", &object!({})).expect("bob's chats");
    assert_eq!(chats["data"].as_array().map(Vec::len), Some(1), "{chats}");
    bob.layer = 5;
    let all = object!({ "chat_id": "alice", "id_from": 0, "id_till": -1 });
    let page = bob.get("CHAT-HISTORY", &all).expect("a history");
    let shown = &page["data"][1];
    assert_eq!(
        (&shown["message_id"], &shown["deleted"]),
        (&object!(id), &object!(true)),
        "{shown}"
    );
    assert_eq!(page["data"][2]["previous_message_id"], id, "the chain holds");
    let found = bob.get("CHAT-SEARCH", &object!({ "query": "last" })).expect("a search");
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    send(&mut bob, "alice", "and on");
    // It is named, to whoever looks after the server.
    let (_, status, _) = command(&stage, &["status", "--json"]);
    let named = json(&status)["quarantined"][0].as_str().expect("a name").to_owned();
    assert!(named.starts_with(&format!("message {id} of chat ")), "{named}");
    assert!(named.contains("(alice@im.test and bob@im.test)"), "{named}");
    let errors = fs::read_to_string(stage.directory.path().join("stderr")).expect("its log");
    assert_eq!(errors.matches(&named).count(), 1, "{errors}");
}

#[test]
fn a_damaged_database_is_kept_aside_and_the_last_backup_offered_by_its_command() {
    let stage = home(&[]);
    let daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let _bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    send(&mut alice, "bob", "kept");
    let backup = stage.directory.path().join("backup.tar");
    let (code, _, errors) = command(&stage, &["backup", backup.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{errors}");
    daemon.kill();
    let database = data(&stage).join("msimd.redb");
    let whole = fs::read(&database).expect("the database");
    let mut headless = whole.clone();
    for at in [100, 32 * 1024 + 100] {
        headless[at] ^= 1;
    }
    let restore = format!("msimd restore --data {} {}", data(&stage).display(), backup.display());
    for damaged in [whole[..whole.len() / 2].to_vec(), headless] {
        fs::write(&database, &damaged).expect("a file");
        let sentence = refused(&stage, &["msimd.redb is damaged", &restore]);
        let aside = sentence.split("it is kept as ").nth(1).and_then(|rest| rest.split(';').next());
        let aside = PathBuf::from(aside.expect("where it is"));
        assert_eq!(fs::read(&aside).expect("it is there"), damaged);
        // No empty database comes in its place, whoever starts it again.
        refused(&stage, &["was damaged and is kept as", &restore]);
        let (code, _, errors) = self::command(&stage, &["invite"]);
        assert!(code == Some(1) && errors.contains(&restore), "{errors}");
        assert!(!database.exists());
        fs::remove_file(aside).expect("the operator takes it away");
    }
    fs::write(&database, &whole[..whole.len() / 2]).expect("a file");
    refused(&stage, &[&restore]);
    let mut command = msimd();
    command.args(restore.split(' ').skip(1));
    let (status, told, errors) = run(command);
    assert_eq!(status.code(), Some(0), "{told}{errors}");
    let daemon = Daemon::start(&stage);
    let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
    assert_eq!(texts(&mut alice, "bob"), ["kept"]);
}

#[test]
fn every_refusal_to_start_is_a_sentence_with_what_to_do() {
    let stage = home(&[]);
    Daemon::start(&stage).kill();
    let database = data(&stage).join("msimd.redb");
    let whole = fs::read(&database).expect("the database");
    // A file of somebody else.
    fs::write(&database, b"SQLite format 3\0".repeat(9000)).expect("a file");
    refused(&stage, &["is no database of msimd", "was not touched", "move it away"]);
    // One of a later version.
    fs::write(&database, later(&whole)).expect("a file");
    refused(&stage, &["written by a later msimd", "start the later one"]);
    // Something in the way.
    fs::remove_file(&database).expect("it goes");
    fs::create_dir(&database).expect("a directory");
    refused(&stage, &["something else is in the way"]);
    fs::remove_dir(&database).expect("it goes");
    fs::write(&database, &whole).expect("a file");
    // A door that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let door = taken.local_addr().expect("its number");
    let mut other = home(&[]);
    other.set("listen.tcp", &format!("\"{door}\""));
    refused(
        &other,
        &["listen.tcp", &door.port().to_string(), "another program", "choose another port"],
    );
    // A second server.
    let daemon = Daemon::start(&stage);
    refused(&stage, &["in use by another process", "stop that one first"]);
    drop(daemon);
    // Somebody who may not.
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: nothing is forbidden to root");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |mode| fs::set_permissions(&database, fs::Permissions::from_mode(mode));
    mode(0).expect("a mode");
    refused(&stage, &["Permission denied", "run it as that user"]);
    mode(0o600).expect("a mode");
}

/// A database with the schema's number raised in both of its headers.
fn later(whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for slot in [0, 32 * 1024] {
        let end = slot + 340;
        bytes[slot + 8] += 50;
        let mut crc = u32::MAX;
        for byte in &bytes[slot..end] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            }
        }
        bytes[end..end + 4].copy_from_slice(&(!crc).to_le_bytes());
    }
    bytes
}
