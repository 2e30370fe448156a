use super::*;

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use serde_json::json;

use super::moving::ExportError;
use crate::domain::id::{AccountNo, Login, Timestamp};
use crate::domain::words::{AppPasswordView, Order, Refusal, Reply, UserView, Verifier};
use crate::engine::vault::Vault;
use crate::store::{StoreError, Verdict};

/// A server that is not there: remembers what it was told, and can be stuck.
pub(crate) struct Fake {
    users: Mutex<Vec<String>>,
    /// Orders wait here until somebody sends or the sender is gone.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
    sick: Arc<AtomicBool>,
    pub(crate) damaged: bool,
    apps: Mutex<Vec<AppPasswordView>>,
    vault: Vault,
}

impl Default for Fake {
    fn default() -> Fake {
        Fake {
            users: Mutex::default(),
            gate: None,
            sick: Arc::default(),
            damaged: false,
            apps: Mutex::default(),
            vault: Vault::of(None),
        }
    }
}

impl Desk for Fake {
    fn order(&self, order: Order) -> Result<Reply, Refusal> {
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        let mut users = self.users.lock().unwrap();
        match order {
            Order::AddUser { login, verifier } => {
                assert!(!verifier.0.contains("secret"));
                if users.iter().any(|u| u == login.as_str()) {
                    return Err(Refusal::LoginTaken);
                }
                users.push(login.as_str().to_owned());
                Ok(Reply::Done)
            }
            Order::Users => {
                let view = |(n, login): (usize, &String)| UserView {
                    account: AccountNo(n as u32 + 1),
                    login: login.as_str().into(),
                    created: Timestamp::from_secs(1_700_000_000),
                    last_seen: None,
                    disabled: false,
                    sessions: 0,
                };
                Ok(Reply::Users(users.iter().enumerate().map(view).collect()))
            }
            Order::Import(_) => Ok(Reply::Done),
            Order::Invite { uses } => Ok(Reply::Invite(format!("code-for-{uses}").into())),
            Order::AddAppPassword { login, name, envelope, .. } => {
                let at = users.iter().position(|u| u == login.as_str());
                let at = at.ok_or(Refusal::NoSuchAccount)?;
                let name = name.unwrap_or("app-1".into());
                let sealed = envelope.seal(AccountNo(at as u32 + 1), &name);
                self.apps.lock().unwrap().push(AppPasswordView {
                    name: name.clone(),
                    created: Timestamp::from_secs(1_700_000_000),
                    sealed_under: sealed.key,
                });
                Ok(Reply::AppPassword(name))
            }
            Order::AppPasswords { .. } => {
                Ok(Reply::AppPasswords(self.apps.lock().unwrap().clone()))
            }
            Order::RevokeAppPassword { name, .. } => {
                let mut apps = self.apps.lock().unwrap();
                let at = apps.iter().position(|app| app.name == name);
                apps.remove(at.ok_or(Refusal::NoSuchAppPassword)?);
                Ok(Reply::Done)
            }
            Order::SetPassword { login, .. }
            | Order::DisableUser { login }
            | Order::EnableUser { login }
            | Order::RemoveUser { login } => {
                let known = users.iter().any(|u| u == login.as_str());
                known.then_some(Reply::Done).ok_or(Refusal::NoSuchAccount)
            }
        }
    }

    fn hash(&self, password: &[u8]) -> Option<Verifier> {
        Some(Verifier(format!("hash of {} bytes", password.len()).into()))
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn status(&self) -> Result<Value, StoreError> {
        Ok(json!({ "running": true }))
    }

    fn backup(
        &self,
        path: &Path,
        _keys: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, String> {
        progress(1);
        std::fs::write(path, "backup").map_err(|e| e.to_string())?;
        Ok(Verdict { messages: 7, ..Verdict::default() })
    }

    fn verify(&self, _progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        let faults = if self.damaged { vec!["message 3 is damaged".into()] } else { vec![] };
        Ok(Verdict { messages: 7, faults, ..Verdict::default() })
    }

    fn page(&self, _login: &Login, _from: &Value) -> Result<Value, ExportError> {
        Err(ExportError::NoSuchAccount)
    }

    fn home(&self) -> &str {
        "im.test"
    }

    fn metrics(&self) -> String {
        "msimd_messages_total 7\n".into()
    }

    fn health(&self, _patience: Duration) -> Result<(), String> {
        if self.sick.load(Ordering::Relaxed) { Err("the engine is stuck".into()) } else { Ok(()) }
    }
}

/// One request by hand; the whole answer as text.
fn raw(mut stream: impl std::io::Read + std::io::Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(UnixStream::connect(socket).unwrap(), &request);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::String(body.into())))
}

fn start(desk: Fake) -> (tempfile::TempDir, PathBuf, Admin) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("data").join("admin.sock");
    let free = "127.0.0.1:0".parse().ok();
    let admin = Admin::start(socket.clone(), free, desk).unwrap();
    (directory, socket, admin)
}

#[test]
fn users_are_managed_over_the_socket() {
    let (_directory, socket, admin) = start(Fake::default());
    let alice = r#"{"login":"Alice","password":"secret"}"#;
    assert_eq!(ask(&socket, "POST", "/users", alice), (200, json!({})));
    let (status, error) = ask(&socket, "POST", "/users", alice);
    assert_eq!((status, error["reason"].as_str()), (409, Some("login-taken")));
    let (status, list) = ask(&socket, "GET", "/users", "");
    assert_eq!(status, 200);
    assert_eq!(
        list["users"],
        json!([{ "account": 1, "login": "alice", "created": 1_700_000_000, "last_seen": null,
                 "disabled": false, "sessions": 0 }])
    );
    for path in ["/users/disable", "/users/enable", "/users/remove"] {
        assert_eq!(ask(&socket, "POST", path, r#"{"login":"alice"}"#).0, 200, "{path}");
        assert_eq!(ask(&socket, "POST", path, r#"{"login":"bob"}"#).0, 404, "{path}");
    }
    assert_eq!(
        ask(&socket, "POST", "/invites", r#"{"uses":3}"#),
        (200, json!({ "code": "code-for-3" }))
    );
    admin.stop();
}

#[test]
fn an_app_password_is_told_once() {
    let (_directory, socket, admin) = start(Fake::default());
    ask(&socket, "POST", "/users", r#"{"login":"alice","password":"secret"}"#);
    let add = "/users/app-passwords/add";
    let (status, made) = ask(&socket, "POST", add, r#"{"login":"alice","name":"phone"}"#);
    assert_eq!((status, made["name"].as_str()), (200, Some("phone")));
    let password = made["password"].as_str().unwrap().to_owned();
    assert!(password.len() == 29 && password.split('-').all(|group| group.len() == 4));
    let (status, list) = ask(&socket, "POST", "/users/app-passwords", r#"{"login":"alice"}"#);
    assert_eq!(status, 200);
    assert!(!list.to_string().contains(&password));
    assert_eq!(
        list,
        json!({ "app_passwords": [{ "name": "phone", "created": 1_700_000_000, "readable": true }],
                "trouble": null })
    );
    assert_eq!(ask(&socket, "POST", add, r#"{"login":"alice"}"#).1["name"], "app-1");
    assert_eq!(ask(&socket, "POST", add, r#"{"login":"bob"}"#).0, 404);
    assert_eq!(ask(&socket, "POST", add, r#"{"login":"alice","name":5}"#).0, 400);
    let revoke = "/users/app-passwords/revoke";
    assert_eq!(ask(&socket, "POST", revoke, r#"{"login":"alice","name":"phone"}"#).0, 200);
    assert_eq!(ask(&socket, "POST", revoke, r#"{"login":"alice","name":"phone"}"#).0, 404);
    assert_eq!(ask(&socket, "POST", revoke, r#"{"login":"alice"}"#).0, 400);
    admin.stop();
}

#[test]
fn a_bad_request_is_answered_with_what_is_wrong() {
    let (_directory, socket, admin) = start(Fake::default());
    for (method, path, body, status, part) in [
        ("GET", "/", "", 404, "nothing at /"),
        ("DELETE", "/users", "", 405, "GET, POST"),
        ("GET", "/verify", "", 405, "POST"),
        ("POST", "/users", "[]", 400, "no JSON object"),
        ("POST", "/users", "{", 400, "no JSON object"),
        ("POST", "/users", r#"{"login":"alice"}"#, 400, "password has to be a text"),
        ("POST", "/users", r#"{"login":"a b","password":"x"}"#, 400, "no login"),
        ("POST", "/users", r#"{"login":"alice","password":""}"#, 400, "no password"),
        ("POST", "/invites", r#"{"uses":0}"#, 400, "whole number from 1"),
        ("POST", "/invites", r#"{"uses":4294967296}"#, 400, "whole number from 1"),
        ("POST", "/backup", r#"{"path":"a.redb"}"#, 400, "absolute"),
    ] {
        let (found, body) = ask(&socket, method, path, body);
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(body["message"].as_str().unwrap().contains(part), "{body}");
    }
    let large = format!("{{\"login\":\"{}\"}}", "x".repeat(ADMIN_BODY_BYTES_MAX));
    assert_eq!(ask(&socket, "POST", "/users", &large).0, 413);
    let long = "x".repeat(1025);
    let body = format!("{{\"login\":\"alice\",\"password\":\"{long}\"}}");
    assert_eq!(ask(&socket, "POST", "/users", &body).0, 400);
    admin.stop();
}

#[test]
fn health_and_metrics_are_answered_while_every_other_request_is_stuck() {
    let (open, gate) = mpsc::channel();
    let sick = Arc::new(AtomicBool::new(false));
    let desk = Fake { gate: Some(Mutex::new(gate)), sick: sick.clone(), ..Fake::default() };
    let (_directory, socket, admin) = start(desk);
    let stuck: Vec<_> = (0..ADMIN_REQUESTS_MAX)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || ask(&socket, "GET", "/users", ""))
        })
        .collect();
    while admin.shared.at_work.load(Ordering::Relaxed) < ADMIN_REQUESTS_MAX {
        thread::yield_now();
    }
    assert_eq!(ask(&socket, "GET", "/healthz", ""), (200, json!("ok\n")));
    assert_eq!(ask(&socket, "GET", "/metrics", "").0, 200);
    // One request too many is told so at once.
    let (status, busy) = ask(&socket, "GET", "/users", "");
    assert_eq!((status, busy["reason"].as_str()), (503, Some("busy")));
    sick.store(true, Ordering::Relaxed);
    assert_eq!(ask(&socket, "GET", "/healthz", ""), (503, json!("the engine is stuck\n")));
    drop(open);
    for request in stuck {
        assert_eq!(request.join().unwrap().0, 200);
    }
    admin.stop();
}

#[test]
fn a_backup_overwrites_nothing() {
    let (directory, socket, admin) = start(Fake::default());
    let path = directory.path().join("copy.redb");
    let body = json!({ "path": path }).to_string();
    let (status, verdict) = ask(&socket, "POST", "/backup", &body);
    assert_eq!((status, verdict["messages"].as_u64()), (200, Some(7)));
    assert_eq!(verdict["sound"], json!(true));
    std::fs::write(&path, "mine").unwrap();
    assert_eq!(ask(&socket, "POST", "/backup", &body).0, 409);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    admin.stop();
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let (_directory, socket, admin) = start(Fake::default());
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let directory = std::fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(directory & 0o777, 0o700);
    admin.stop();
    assert!(!socket.exists());
}

#[test]
fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let admin = Admin::start(socket.clone(), None, Fake::default()).unwrap();
    let error = Admin::start(socket.clone(), None, Fake::default()).unwrap_err();
    assert!(error.contains("another msimd answers"), "{error}");
    assert_eq!(ask(&socket, "GET", "/healthz", "").0, 200);
    admin.stop();

    std::fs::write(&socket, "a file of somebody").unwrap();
    let error = Admin::start(socket.clone(), None, Fake::default()).unwrap_err();
    assert!(error.contains("is no socket"), "{error}");
    assert_eq!(std::fs::read(&socket).unwrap(), b"a file of somebody");
}

#[test]
fn the_monitoring_port_shows_health_and_metrics_and_nothing_else() {
    let (_directory, _socket, admin) = start(Fake::default());
    let address = admin.metrics_address().unwrap();
    let get = |line: &str| {
        raw(TcpStream::connect(address).unwrap(), &format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"))
    };
    let metrics = get("GET /metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.ends_with("\r\n\r\nmsimd_messages_total 7\n"), "{metrics}");
    assert!(get("GET /healthz").contains("\r\n\r\nok\n"));
    assert!(get("HEAD /healthz").ends_with("\r\n\r\n"));
    for line in ["GET /users", "POST /metrics", "POST /users", "x", ""] {
        assert!(get(line).starts_with("HTTP/1.1 404 "), "{line}");
    }
    // A head without an end is not read for ever.
    let mut flood = TcpStream::connect(address).unwrap();
    let _ = flood.write_all(&vec![b'x'; 64 * 1024]);
    assert!(get("GET /healthz").starts_with("HTTP/1.1 200 "));
    admin.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_monitoring_port_stays_on_the_loopback() {
    let directory = tempfile::tempdir().unwrap();
    let outside = "0.0.0.0:0".parse().ok();
    let error =
        Admin::start(directory.path().join("admin.sock"), outside, Fake::default()).unwrap_err();
    assert!(error.contains("reached from outside"), "{error}");
}

#[test]
fn a_server_that_ended_like_a_crash_leaves_the_socket_to_the_next() {
    let (_directory, socket, admin) = start(Fake::default());
    drop(admin);
    let admin = Admin::start(socket.clone(), None, Fake::default()).unwrap();
    assert_eq!(ask(&socket, "GET", "/healthz", "").0, 200);
    admin.stop();
}
