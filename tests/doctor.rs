//! `msimd doctor`: what is wrong is told before it hurts, and the exit code tells it to programs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::client::PATIENCE;
use crate::client::tcp::User;
use crate::daemon::{Daemon, home};
use crate::operating::{command, data, json, rot, send, texts};
use crate::talk::stage::Stage;

/// What it finds: exit code, and the checks.
fn examined(stage: &Stage, strict: bool) -> (Option<i32>, Vec<Value>) {
    let words: &[&str] =
        if strict { &["doctor", "--json", "--strict"] } else { &["doctor", "--json"] };
    let (code, told, errors) = command(stage, words);
    let told = json(&told);
    let checks = told["checks"].as_array().unwrap_or_else(|| panic!("{told} {errors}")).clone();
    (code, checks)
}

/// The state of the checks of this name, with the worst one's text.
fn found<'c>(checks: &'c [Value], name: &str) -> (&'c str, &'c str) {
    let rank = |check: &&Value| match check["state"].as_str() {
        Some("wrong") => 2,
        Some("warning") => 1,
        _ => 0,
    };
    let check = checks.iter().filter(|check| check["name"] == name).max_by_key(rank);
    let check = check.unwrap_or_else(|| panic!("{name} is not in {checks:?}"));
    (check["state"].as_str().unwrap_or_default(), check["text"].as_str().unwrap_or_default())
}

#[test]
fn the_life_of_a_server_as_its_doctor_sees_it() {
    let stage = home(&[]);
    let (code, checks) = examined(&stage, false);
    assert_eq!(code, Some(0), "{checks:?}");
    assert_eq!(found(&checks, "last stop"), ("good", "it was never started here"));
    assert!(!data(&stage).exists(), "it made something");

    let mut daemon = Daemon::start(&stage);
    let _alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let (code, checks) = examined(&stage, false);
    assert_eq!(code, Some(0), "{checks:?}");
    assert!(found(&checks, "server").1.contains("runs as im.test"), "{checks:?}");
    assert!(found(&checks, "doors").1.contains(&daemon.tcp.to_string()), "{checks:?}");
    assert_eq!(found(&checks, "backup").0, "warning", "{checks:?}");
    assert_eq!(examined(&stage, true).0, Some(1), "a warning counts where it is asked for");
    let backup = stage.directory.path().join("backup.tar");
    let (code, _, errors) = command(&stage, &["backup", backup.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(found(&examined(&stage, false).1, "backup").0, "good");

    daemon.signal(Signal::TERM);
    daemon.end_within(PATIENCE).expect("it ends");
    let (_, checks) = examined(&stage, false);
    assert!(found(&checks, "last stop").1.starts_with("in order at "), "{checks:?}");
    let writes = checks.iter().find(|check| check["name"] == "writes").expect("a check");
    assert!(writes["figures"]["syncs"].as_u64() > Some(1), "{writes}");
    assert!(writes["figures"]["bytes"].as_u64() > Some(10_000), "{writes}");
    Daemon::start(&stage).kill();
    let (state, text) = {
        let (_, checks) = examined(&stage, false);
        let (state, text) = found(&checks, "last stop");
        (state.to_owned(), text.to_owned())
    };
    assert!(state == "warning" && text.contains("not stopped in order"), "{text}");
}

#[test]
fn what_is_wrong_fails_and_is_told_in_words() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let door = format!("\"{}\"", taken.local_addr().expect("its number"));
    for (keys, name, part) in [
        (&[("listen.tcp", door.as_str())][..], "doors", "another program has it"),
        (&[("memory", "\"many\"")], "configuration", "memory"),
        (&[("limits.free_space", "9000000000000000000")], "free space", "nothing is stored"),
    ] {
        let stage = home(keys);
        let (code, checks) = examined(&stage, false);
        let (state, text) = found(&checks, name);
        assert!(code == Some(1) && state == "wrong" && text.contains(part), "{name}: {checks:?}");
        let (_, table, _) = command(&stage, &["doctor"]);
        assert!(table.lines().any(|line| line.starts_with("wrong") && line.contains(part)));
    }
    for (keys, name, part) in [
        (&[("listen.tcp", "\"0.0.0.0:0\""), ("tls.mode", "\"off\"")][..], "doors", "travel bare"),
        (&[("memory", "\"999999M\"")], "memory", "the process gets"),
    ] {
        let (_, checks) = examined(&home(keys), false);
        let (state, text) = found(&checks, name);
        assert!(state != "good" && text.contains(part), "{name}: {checks:?}");
    }
}

#[test]
fn damage_and_open_doors_of_files_are_seen() {
    let stage = home(&[("tls.mode", "\"self-signed\"")]);
    Daemon::start(&stage).kill();
    let mode = |name: &str, mode| {
        fs::set_permissions(data(&stage).join(name), fs::Permissions::from_mode(mode))
            .expect("a mode");
    };
    let (code, checks) = examined(&stage, false);
    assert_eq!(code, Some(0), "{checks:?}");
    assert!(found(&checks, "certificate").1.contains("as long as anybody pins it"), "{checks:?}");
    mode("key.pem", 0o644);
    mode("msimd.redb", 0o644);
    let (_, checks) = examined(&stage, false);
    assert_eq!(found(&checks, "certificate").0, "warning", "{checks:?}");
    assert!(found(&checks, "database").1.contains("chmod 600"), "{checks:?}");

    let stage = home(&[]);
    let mut daemon = Daemon::start(&stage);
    let mut alice = User::enter(daemon.tcp, "alice").expect("alice enters");
    let _bob = User::enter(daemon.tcp, "bob").expect("bob enters");
    send(&mut alice, "bob", "sound");
    send(&mut alice, "bob", "the one that rots");
    daemon.signal(Signal::TERM);
    daemon.end_within(PATIENCE).expect("it ends");
    rot(&data(&stage).join("msimd.redb"), "the one that rots");
    let daemon = Daemon::start(&stage);
    let mut alice = User::again(daemon.tcp, "alice").expect("alice logs in");
    texts(&mut alice, "bob");
    let (code, checks) = examined(&stage, false);
    let (state, text) = found(&checks, "database");
    assert!(code == Some(1) && state == "wrong", "{checks:?}");
    assert!(text.contains("alice@im.test and bob@im.test"), "{text}");
    drop(daemon);

    // Whoever moved the database aside is asked to bring one back.
    let database = data(&stage).join("msimd.redb");
    fs::rename(&database, data(&stage).join("msimd.redb.damaged-then")).expect("it moves");
    let (code, checks) = examined(&stage, false);
    assert_eq!((code, found(&checks, "database").0), (Some(1), "wrong"), "{checks:?}");
}

#[test]
fn a_certificate_that_ran_out_is_wrong_and_one_that_will_is_a_warning() {
    let mut params = rcgen::CertificateParams::new(["im.test".to_owned()]).expect("a name");
    let pair = rcgen::KeyPair::generate().expect("a key pair");
    let mut stage = home(&[("tls.mode", "\"files\"")]);
    let place = |name: &str| stage.directory.path().join(name);
    let (cert, key) = (place("own.pem"), place("own.key"));
    fs::write(&key, pair.serialize_pem()).expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    stage.set("tls.cert", &format!("{cert:?}")).set("tls.key", &format!("{key:?}"));
    let now = std::time::SystemTime::now();
    for (days, state, part) in
        [(-3_i64, "wrong", "ran out"), (5, "warning", "runs out in"), (90, "good", "is valid for")]
    {
        let till = match days < 0 {
            true => now - std::time::Duration::from_secs(days.unsigned_abs() * 86_400),
            false => now + std::time::Duration::from_secs(days.unsigned_abs() * 86_400),
        };
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = till.into();
        let certificate = params.self_signed(&pair).expect("a certificate");
        fs::write(&cert, certificate.pem()).expect("a file");
        let (code, checks) = examined(&stage, false);
        let (found, text) = found(&checks, "certificate");
        assert!(found == state && text.contains(part), "{days}: {checks:?}");
        assert_eq!(code, Some(i32::from(state == "wrong")));
    }
}
