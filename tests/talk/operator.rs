//! The operator of a talk: what `msimd user` and `msimd invite` say to the management socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::client::PATIENCE;

pub fn user(stage: &Stage, verb: &str, login: &str) -> Result<(), String> {
    let path = match verb {
        "disable" | "enable" | "remove" => format!("/users/{verb}"),
        other => return Err(format!("operators do not {other:?} users here")),
    };
    post(stage, &path, &json!({ "login": login })).map(|_| ())
}

pub fn invite(stage: &Stage, uses: &str) -> Result<String, String> {
    let uses: u32 = uses.parse().map_err(|_| format!("not a number: {uses:?}"))?;
    let body = post(stage, "/invites", &json!({ "uses": uses }))?;
    body["code"].as_str().map(str::to_owned).ok_or_else(|| format!("no code: {body}"))
}

/// A password for a device of that account, by the name of the device.
pub fn app_password(stage: &Stage, login: &str, name: &str) -> Result<String, String> {
    let body = json!({ "login": login, "name": name });
    let body = post(stage, "/users/app-passwords/add", &body)?;
    body["password"].as_str().map(str::to_owned).ok_or_else(|| format!("no password: {body}"))
}

pub fn revoke(stage: &Stage, login: &str, name: &str) -> Result<(), String> {
    let body = json!({ "login": login, "name": name });
    post(stage, "/users/app-passwords/revoke", &body).map(|_| ())
}

fn post(stage: &Stage, path: &str, body: &Value) -> Result<Value, String> {
    request(&stage.socket, "POST", path, &body.to_string())
}

/// One request over a Unix socket; the answer must be 200.
pub fn request(socket: &Path, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{length}{body}").as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no answer: {answer:?}"))?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("{path}: {answer}"));
    }
    serde_json::from_str(body).map_err(|e| format!("{body:?}: {e}"))
}
