//! What the management socket can be asked, as a table, without sockets: JSON in, JSON out.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /status` | | counters and addresses |
//! | `GET /users` | | `{"users":[…]}` |
//! | `POST /users` | login, password | `{}` |
//! | `POST /users/password` | login, password | `{}` |
//! | `POST /users/disable`, `enable`, `remove` | login | `{}` |
//! | `POST /users/app-passwords` | login | `{"app_passwords":[…],"trouble":…}` |
//! | `POST /users/app-passwords/add` | login, name or none | `{"name","password"}`, told once |
//! | `POST /users/app-passwords/revoke` | login, name | `{}` |
//! | `POST /invites` | uses | `{"code":…}` |
//! | `POST /backup` | path, keys or not | what was copied |
//! | `POST /verify` | | what was found |
//! | `POST /export` | login, from | `{"lines":[…],"next":…}`, see `moving` |
//! | `POST /import` | see `moving::piece` | `{}` |
//!
//! An error is `{"reason","message"}`, its message a sentence for the operator.

use std::path::Path;

use serde_json::{Value, json};

use super::desk::Desk;
use super::moving::{self, ExportError};
use crate::domain::id::Login;
use crate::domain::words::{AppPasswordView, Order, Refusal, Reply, UserView, Verifier};
use crate::engine::vault::AppPassword;
use crate::limits::{APP_PASSWORDS_MAX, PASSWORD_BYTES_MAX};
use crate::store::{StoreError, Verdict};

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Does what is asked. `progress` hears of long work.
pub fn answer(
    desk: &dyn Desk,
    method: &str,
    path: &str,
    body: &[u8],
    progress: &mut dyn FnMut(u64),
) -> Answer {
    let allowed = match path {
        "/status" => "GET",
        "/users" => "GET, POST",
        "/users/password"
        | "/users/disable"
        | "/users/enable"
        | "/users/remove"
        | "/users/app-passwords"
        | "/users/app-passwords/add"
        | "/users/app-passwords/revoke"
        | "/invites"
        | "/backup"
        | "/export"
        | "/import"
        | "/verify" => "POST",
        _ => return error(404, "not-found", &format!("there is nothing at {path}")),
    };
    if !allowed.split(", ").any(|a| a == method) {
        return error(405, "bad-method", &format!("{path} is for {allowed}"));
    }
    let result = match (method, path) {
        ("GET", "/status") => desk.status().map_err(|e| store(&e)),
        ("GET", "/users") => order(desk, Order::Users),
        _ => post(desk, path, body, progress),
    };
    match result {
        Ok(body) => Answer { status: 200, body },
        Err(answer) => answer,
    }
}

/// A refusal in the operator's words.
pub fn refusal_text(refusal: Refusal) -> String {
    words(refusal).2
}

/// A refusal's status, its token, and what to do about it.
fn words(refusal: Refusal) -> (u16, &'static str, String) {
    let fixed = |status, reason, text: &str| (status, reason, text.to_owned());
    match refusal {
        Refusal::BadLogin => fixed(
            400,
            "bad-login",
            "this is no login: it has 1 to 64 bytes, and none of @ & / : \" ' = , or white space",
        ),
        Refusal::BadPassword => {
            let text = format!("this is no password: it has 1 to {PASSWORD_BYTES_MAX} bytes");
            (400, "bad-password", text)
        }
        Refusal::LoginTaken => {
            fixed(409, "login-taken", "the login is taken, or was and is not given again")
        }
        Refusal::NoSuchAccount => {
            fixed(404, "no-such-account", "there is no account with this login")
        }
        Refusal::TooManyAppPasswords => {
            let text =
                format!("an account has at most {APP_PASSWORDS_MAX} app passwords; revoke one");
            (409, "too-many-app-passwords", text)
        }
        Refusal::NoSuchAppPassword => {
            fixed(404, "no-such-app-password", "there is no app password of this name")
        }
        Refusal::AlreadyThere => fixed(409, "already-there", "there is one of this name already"),
        Refusal::DiskFull => fixed(
            507,
            "disk-full",
            "the disk has less free space than must stay (limits.free_space); make room",
        ),
        Refusal::Unavailable => fixed(
            503,
            "unavailable",
            "the database could not take it, or the server is stopping; look at the log and try \
             again",
        ),
        Refusal::TooManyAttempts { retry_after } | Refusal::TooManyRequests { retry_after } => {
            (429, "too-many", format!("too many requests; try again in {retry_after} s"))
        }
        Refusal::BadField | Refusal::MissingField | Refusal::FieldTooLong => {
            fixed(400, "refused", "a value is missing or not what it should be")
        }
        Refusal::NoSession
        | Refusal::UnknownSession
        | Refusal::RegistrationClosed
        | Refusal::BadInvite
        | Refusal::WrongCredentials
        | Refusal::TooManySessions
        | Refusal::TooManyContacts
        | Refusal::NoSuchContact
        | Refusal::NoSuchChat
        | Refusal::NoSuchMessage
        | Refusal::BadRange
        | Refusal::BadDate
        | Refusal::TextEmpty
        | Refusal::TextTooLong
        | Refusal::NoFederation
        | Refusal::TooManyChats
        | Refusal::TooManyMembers
        | Refusal::NoSuchRequest
        | Refusal::NoSuchMember
        | Refusal::NoSuchSpace
        | Refusal::NoFiles
        | Refusal::FileTooLarge
        | Refusal::TooManyFiles
        | Refusal::NoSuchFile
        | Refusal::BadSpan
        | Refusal::BadSpanRange
        | Refusal::TooManySpans
        | Refusal::BadAccess
        | Refusal::NotEditable
        | Refusal::LastOwner
        | Refusal::NotAllowed => (400, "refused", format!("the server refused it: {refusal:?}")),
    }
}

/// What a walk over the records found.
pub fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "sound": verdict.faults.is_empty(),
        "accounts": verdict.accounts,
        "chats": verdict.chats,
        "messages": verdict.messages,
        "faults": verdict.faults,
    })
}

pub(super) fn busy() -> Answer {
    error(503, "busy", "too many requests are at work on the management socket; try again")
}

pub(super) fn too_large() -> Answer {
    error(413, "too-large", "the request is too large")
}

fn post(
    desk: &dyn Desk,
    path: &str,
    body: &[u8],
    progress: &mut dyn FnMut(u64),
) -> Result<Value, Answer> {
    let body = object(body)?;
    match path {
        "/users" => {
            let (login, verifier) = credentials(desk, &body)?;
            order(desk, Order::AddUser { login, verifier })
        }
        "/users/password" => {
            let (login, verifier) = credentials(desk, &body)?;
            order(desk, Order::SetPassword { login, verifier })
        }
        "/users/disable" => order(desk, Order::DisableUser { login: login(&body)? }),
        "/users/enable" => order(desk, Order::EnableUser { login: login(&body)? }),
        "/users/remove" => order(desk, Order::RemoveUser { login: login(&body)? }),
        "/users/app-passwords" => order(desk, Order::AppPasswords { login: login(&body)? }),
        "/users/app-passwords/add" => add_app_password(desk, &body),
        "/users/app-passwords/revoke" => {
            let (login, name) = (login(&body)?, text(&body, "name")?.into());
            order(desk, Order::RevokeAppPassword { login, name })
        }
        "/invites" => order(desk, Order::Invite { uses: uses(&body)? }),
        "/backup" => {
            let path = Path::new(text(&body, "path")?);
            if !path.is_absolute() {
                return Err(bad("path has to be absolute"));
            }
            if path.symlink_metadata().is_ok() {
                let message = format!("{} exists; a backup never overwrites", path.display());
                return Err(error(409, "exists", &message));
            }
            let keys = body.get("keys").and_then(Value::as_bool).unwrap_or(true);
            let failed = |why: String| error(500, "backup", &why);
            let verdict = desk.backup(path, keys, progress).map_err(failed)?;
            Ok(verdict_json(&verdict))
        }
        "/export" => desk.page(&login(&body)?, &body["from"]).map_err(|why| match why {
            ExportError::NoSuchAccount => refused(Refusal::NoSuchAccount),
            ExportError::Store(why) => store(&why),
        }),
        "/import" => {
            let piece = moving::piece(&body, desk.home()).map_err(|why| bad(&why))?;
            order(desk, Order::Import(Box::new(piece)))
        }
        // What is left of the table in `answer`.
        _ => desk.verify(progress).map(|v| verdict_json(&v)).map_err(|e| store(&e)),
    }
}

fn order(desk: &dyn Desk, order: Order) -> Result<Value, Answer> {
    match desk.order(order).map_err(refused)? {
        Reply::Users(users) => {
            let users: Vec<Value> = users.iter().map(user_json).collect();
            Ok(json!({ "users": users }))
        }
        Reply::Invite(code) => Ok(json!({ "code": code })),
        Reply::AppPasswords(passwords) => {
            let key = desk.vault().key_id();
            let readable = |p: &AppPasswordView| Some(p.sealed_under) == key;
            let fitting = passwords.iter().filter(|p| readable(p)).count() as u64;
            let list: Vec<Value> = passwords
                .iter()
                .map(|p| {
                    let created = p.created.secs();
                    json!({ "name": p.name, "created": created, "readable": readable(p) })
                })
                .collect();
            let trouble = desk.vault().trouble(passwords.len() as u64, fitting);
            Ok(json!({ "app_passwords": list, "trouble": trouble }))
        }
        Reply::AppPassword(name) => Ok(json!({ "name": name })),
        Reply::Done
        | Reply::Registered { .. }
        | Reply::Subscribed { .. }
        | Reply::Subscriptions { .. }
        | Reply::Subscribers { .. }
        | Reply::Myself(_)
        | Reply::Upload(_)
        | Reply::Received { .. }
        | Reply::Stored(_)
        | Reply::Bytes(_)
        | Reply::People { .. }
        | Reply::Rosters { .. }
        | Reply::Name(_)
        | Reply::LoggedIn { .. }
        | Reply::Contacts { .. }
        | Reply::Chats { .. }
        | Reply::Messages { .. }
        | Reply::Sent { .. }
        | Reply::Newest(_)
        | Reply::Recorded { .. }
        | Reply::Found { .. }
        | Reply::Profile(_)
        | Reply::Chat(_)
        | Reply::Members { .. }
        | Reply::Spaces { .. }
        | Reply::Challenge { .. } => Ok(json!({})),
    }
}

/// The one time that an app password is told.
fn add_app_password(desk: &dyn Desk, body: &Value) -> Result<Value, Answer> {
    let login = login(body)?;
    let name = match body.get("name") {
        Some(Value::Null) | None => None,
        Some(_) => Some(text(body, "name")?.into()),
    };
    let new = desk.vault().new_app_password().map_err(|why| error(500, "no-key", &why))?;
    let AppPassword { text, digest, envelope } = new;
    let mut answer = order(desk, Order::AddAppPassword { login, name, digest, envelope })?;
    answer["password"] = text.as_str().into();
    Ok(answer)
}

fn user_json(user: &UserView) -> Value {
    json!({
        "account": user.account.0,
        "login": user.login,
        "created": user.created.secs(),
        "last_seen": user.last_seen.map(|t| t.secs()),
        "disabled": user.disabled,
        "sessions": user.sessions,
    })
}

fn object(body: &[u8]) -> Result<Value, Answer> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) | Err(_) => Err(bad("the body is no JSON object")),
    }
}

fn text<'a>(body: &'a Value, key: &str) -> Result<&'a str, Answer> {
    body.get(key).and_then(Value::as_str).ok_or_else(|| bad(&format!("{key} has to be a text")))
}

fn login(body: &Value) -> Result<Login, Answer> {
    Login::parse(text(body, "login")?).map_err(|_| refused(Refusal::BadLogin))
}

fn credentials(desk: &dyn Desk, body: &Value) -> Result<(Login, Verifier), Answer> {
    let login = login(body)?;
    let password = text(body, "password")?.as_bytes();
    if password.is_empty() || PASSWORD_BYTES_MAX < password.len() {
        return Err(refused(Refusal::BadPassword));
    }
    let verifier = desk
        .hash(password)
        .ok_or_else(|| error(500, "no-hash", "the password could not be hashed"))?;
    Ok((login, verifier))
}

fn uses(body: &Value) -> Result<u32, Answer> {
    let uses = body.get("uses").map_or(Some(1), Value::as_u64);
    uses.and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n >= 1)
        .ok_or_else(|| bad("uses has to be a whole number from 1"))
}

fn refused(refusal: Refusal) -> Answer {
    let (status, reason, message) = words(refusal);
    error(status, reason, &message)
}

fn store(why: &StoreError) -> Answer {
    error(500, "store", &why.to_string())
}

fn bad(message: &str) -> Answer {
    error(400, "bad-request", message)
}

fn error(status: u16, reason: &str, message: &str) -> Answer {
    Answer { status, body: json!({ "reason": reason, "message": message }) }
}
