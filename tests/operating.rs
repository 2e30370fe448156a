//! What an operator does and sees, with the real binary.

use std::fs;

use serde_json::Value;

use crate::daemon::{Daemon, home, msimd, run};
use crate::talk::stage::Stage;

/// A command on the directory of `stage`, its configuration and all.
fn command(stage: &Stage, words: &[&str]) -> (Option<i32>, String, String) {
    let path = stage.directory.path().join("msimd.toml");
    fs::write(&path, stage.toml()).expect("a file in a directory of the test");
    let mut command = msimd();
    command.args(words).arg("--config").arg(path);
    let (status, output, errors) = run(command);
    assert!(!errors.contains("panicked"), "{words:?}: {errors}");
    (status.code(), output, errors)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
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
    assert!(drawn.contains("█▀▀▀"), "{drawn}");
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
    assert!(told.contains("█▀▀▀"), "{told}");

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
