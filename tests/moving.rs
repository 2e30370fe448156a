//! Accounts that move from one server to another, with the real binary.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json as object};

use crate::client::tcp::{Tcp, User, password_of};
use crate::daemon::{Daemon, home, msimd};
use crate::operating::{command, json, texts};
use crate::talk::stage::Stage;
use crate::upgrade::make;

/// The household of the upgrade tests, its server running.
fn household() -> Stage {
    let mut stage = Stage::new(true);
    stage.start().expect("a server starts");
    make(&stage);
    stage
}

fn export(stage: &Stage, login: &str) -> PathBuf {
    let file = stage.directory.path().join(format!("{login}.jsonl"));
    let (code, _, errors) = command(stage, &["export", login, file.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{errors}");
    file
}

/// An import with this password on standard input; exit code, what it says, what it complains of.
fn import(
    stage: &Stage,
    file: &Path,
    words: &[&str],
    password: &str,
) -> (Option<i32>, Value, String) {
    let path = stage.directory.path().join("msimd.toml");
    fs::write(&path, stage.toml()).expect("a file");
    let mut command = msimd();
    command.arg("import").arg(file).arg("--json").args(words).arg("--config").arg(path);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary can be run");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // Whoever is not asked for a password does not read it.
    let _ = stdin.write_all(password.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = if said.is_empty() { Value::Null } else { json(&said) };
    (output.status.code(), said, errors)
}

/// The password that the test clients have for somebody.
fn password(login: &str) -> String {
    format!("secret of {login}\n")
}

#[test]
fn one_account_moves_to_another_server_and_keeps_what_it_could_read() {
    let old = household();
    let file = export(&old, "alice");
    let (code, _, errors) = command(&old, &["export", "nobody"]);
    assert!(code == Some(1) && errors.contains("no account with this login"), "{errors}");
    let (_, out, _) = command(&old, &["export", "alice"]);
    assert_eq!(fs::read_to_string(&file).expect("a file").lines().count(), out.lines().count());

    let new = home(&[("server_name", r#""im.new""#)]);
    let (code, told, errors) = import(&new, &file, &[], &password("alice"));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(told["address"], "alice@im.new", "{told}");
    assert_eq!((&told["contacts"], &told["skipped_chats"]), (&object!(2), &object!([])), "{told}");

    let daemon = Daemon::start(&new);
    let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
    alice.layer = 5;
    let talk = texts(&mut alice, "bob@im.test");
    assert_eq!(talk, texts_at(&old, "alice", "bob"));
    assert_eq!(texts(&mut alice, "garden").last().map(String::as_str), Some("Who waters today?"));
    let contacts = alice.get("CONTACTS-GET", &object!({})).expect("her contacts").to_string();
    for part in ["bob@im.test", "owes me a book", r#"["friends"]"#, "dave@im.test", "blocked"] {
        assert!(contacts.contains(part), "{part}: {contacts}");
    }
    let profile = alice.get("PROFILE-GET", &object!({})).expect("her profile");
    assert_eq!(
        (&profile["name"], &profile["birthday"]),
        (&object!("Alice"), &object!("2000-02-29"))
    );
    let chats = alice.get("CHATS-GET", &object!({})).expect("her chats");
    let names: Vec<&str> = chats["data"]
        .as_array()
        .expect("chats")
        .iter()
        .map(|chat| chat["chat_id"].as_str().unwrap_or_default())
        .collect();
    for name in ["bob@im.test", "carol@im.test", "garden@im.new", "house@im.new"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // Bob lives elsewhere: what he wrote is there, and nothing reaches him.
    let body = object!({ "chat_id": "bob@im.test", "text": "are you there?" });
    assert_ne!(alice.ask("MESSAGE-SEND", &body).expect("an answer").status, 200);
    let (code, told, errors) = command(&new, &["verify", "--json"]);
    assert!(code == Some(0) && json(&told)["sound"] == true, "{told}{errors}");
    // And she does not come twice.
    let (code, _, errors) = import(&new, &file, &[], &password("alice"));
    assert!(code == Some(1) && errors.contains("the login is taken"), "{errors}");
}

fn texts_at(stage: &Stage, login: &str, chat: &str) -> Vec<String> {
    let mut user = User::again(stage.tcp(), login).expect("they log in");
    user.layer = 5;
    texts(&mut user, chat)
}

#[test]
fn a_household_moves_one_after_the_other_and_talks_on() {
    let mut old = household();
    let running = fs::read_to_string(export(&old, "alice")).expect("a file");
    let told: Vec<Vec<String>> = [("alice", "bob"), ("bob", "alice"), ("bob", "news")]
        .map(|(who, chat)| texts_at(&old, who, chat))
        .into();
    old.stop().expect("it stops in order");
    // From the file it is the same as from the server.
    let (code, out, errors) = command(&old, &["export", "alice"]);
    assert_eq!(code, Some(0), "{errors}");
    // But for the time, and for marks, which a running server may hold for two seconds.
    let is_fixed = |line: &&str| !line.contains("\"exported\"") && !line.contains("\"read\"");
    let (now, then): (Vec<&str>, Vec<&str>) =
        (out.lines().filter(is_fixed).collect(), running.lines().filter(is_fixed).collect());
    assert_eq!(now, then);

    let files = ["alice", "bob"].map(|login| {
        let _ = fs::remove_file(old.directory.path().join(format!("{login}.jsonl")));
        export(&old, login)
    });

    // To a server that runs, and has another name.
    let new = home(&[("server_name", r#""im.new""#)]);
    let daemon = Daemon::start(&new);
    for (login, file) in ["alice", "bob"].iter().zip(&files) {
        let (code, told, errors) = import(&new, file, &["--all"], &password(login));
        assert_eq!(code, Some(0), "{login}: {errors}");
        assert_eq!(told["skipped_chats"], object!([]), "{login}: {told}");
    }
    let enter = |login| User { layer: 5, ..User::again(daemon.tcp, login).expect("they log in") };
    let (mut alice, mut bob) = (enter("alice"), enter("bob"));
    assert_eq!(texts(&mut alice, "bob"), told[0]);
    assert_eq!(texts(&mut bob, "alice").len(), told[1].len());
    assert_eq!(texts(&mut bob, "news"), told[2]);
    let chats = bob.get("CHATS-GET", &object!({})).expect("bob's chats");
    let chat = chats["data"]
        .as_array()
        .expect("chats")
        .iter()
        .find(|chat| chat["chat_id"] == "alice@im.new")
        .expect("theirs");
    assert_eq!(chat["unread_messages"], 4, "{chat}");
    let members = bob.get("CHAT-MEMBERS", &object!({ "chat_id": "garden" })).expect("members");
    assert_eq!(members["data"].as_array().map(Vec::len), Some(3), "{members}");
    crate::operating::send(&mut alice, "bob", "on we go");
    assert_eq!(texts(&mut bob, "alice").last().map(String::as_str), Some("on we go"));
    crate::operating::send(&mut bob, "garden", "and here");
    // Carol has not come yet: she is known, and cannot log in.
    let (_, users, _) = command(&new, &["user", "list", "--json"]);
    let users = json(&users);
    let carol = users.as_array().expect("users").iter().find(|user| user["login"] == "carol");
    assert_eq!(carol.expect("her name")["disabled"], true);
    assert!(User::again(daemon.tcp, "carol").is_err());
    let (code, told, errors) = command(&new, &["verify", "--json"]);
    assert!(code == Some(0) && json(&told)["sound"] == true, "{told}{errors}");
}

#[test]
fn an_import_that_is_not_whole_changes_nothing_and_one_without_a_password_can_be_repeated() {
    let old = household();
    let file = export(&old, "alice");
    let whole = fs::read_to_string(&file).expect("a file");
    let lines: Vec<&str> = whole.lines().collect();
    let new = home(&[]);
    let bad = new.directory.path().join("bad.jsonl");
    for (text, part) in [
        (String::new(), "is no export"),
        ("{}\n".into(), "is no export"),
        ("hello\n".into(), "line 1: this is no line"),
        (lines[..lines.len() - 1].join("\n"), "was cut short"),
        ([&lines[..3], &lines[4..]].concat().join("\n"), "lines are missing"),
        (whole.replace("\"format\":2", "\"format\":3"), "later msimd"),
        (format!("{whole}{}\n", lines[1]), "behind its end"),
    ] {
        fs::write(&bad, text).expect("a file");
        let (code, _, errors) = import(&new, &bad, &[], "x\n");
        assert!(code == Some(1) && errors.contains(part), "{part}: {errors}");
    }
    assert!(!new.directory.path().join("data").exists(), "nothing was made");

    // Said again it changes nothing: one that was cut short can be repeated.
    let (code, first, errors) = import(&new, &file, &["--no-password"], "");
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("msimd user passwd alice; msimd user enable alice"), "{errors}");
    let (code, again, errors) = import(&new, &file, &[], &password("alice"));
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(first, again);
    let daemon = Daemon::start(&new);
    let mut alice = User { layer: 5, ..User::again(daemon.tcp, "alice").expect("she logs in") };
    assert_eq!(texts(&mut alice, "bob"), texts_at(&old, "alice", "bob"));
    // Nobody else can be who came along.
    let mut tcp = Tcp::connect(daemon.tcp).expect("a connection");
    let who = object!({ "login": "bob", "password": password_of("bob") });
    tcp.send(3, None, "REGISTER-PLAIN", who.to_string().as_bytes()).expect("it is sent");
    let answer = tcp.receive().expect("an answer").expect("an answer");
    assert_eq!(answer.body["reason"], "login-taken", "{answer:?}");
}
