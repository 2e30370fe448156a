//! Where a command is carried out: by the running server over its management socket, or, where none
//! runs, on the database file with the same rules. Both are asked in the management socket's words.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log::error;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

use super::{Done, Failure, client};
use crate::admin::addresses::Addresses;
use crate::admin::logbook::Logbook;
use crate::admin::moving::{self, ExportError};
use crate::admin::trouble;
use crate::admin::{self, Answer};
use crate::archive::{self, Contents, DATABASE};
use crate::config::Config;
use crate::domain::id::Login;
use crate::domain::words::{Actor, Command, Order, Refusal, Reply, Verifier};
use crate::domain::{self, Context};
use crate::engine::clock::{self, Clock, Reckoning};
use crate::engine::password;
use crate::engine::vault::Vault;
use crate::server::Doors;
use crate::store::{OpenError, Options, Place, Store, StoreError, Verdict};

/// See the module.
#[derive(Debug)]
pub(super) enum Desk {
    Server(PathBuf),
    File(Box<File>),
}

/// The database, held by this process alone.
#[derive(Debug)]
pub(super) struct File {
    config: Config,
    /// Of one thread only; the desk's users share it by reference.
    store: Mutex<Store>,
    vault: Vault,
}

impl Desk {
    /// The server, where one answers; else the file. `make`: whether a missing database is made.
    pub(super) fn find(config: &Config, make: bool) -> Result<Desk, Failure> {
        let socket = config.admin_socket();
        if server_answers(&socket)? {
            return Ok(Desk::Server(socket));
        }
        let database = config.data_dir.join(DATABASE);
        if let Some(why) = trouble::waiting(&config.data_dir) {
            return Err(Failure::Failed(why));
        }
        if !make && !database.exists() {
            return Err(Failure::Failed(format!(
                "no server answers at {}, and there is no database {}; name the right ones with \
                 --config or --data",
                socket.display(),
                database.display()
            )));
        }
        let store = open(&config.data_dir, options(config)?)
            .map_err(|error| Failure::Failed(trouble::sentence(&error)))?;
        let vault = Vault::of(store.directory());
        Ok(Desk::File(Box::new(File { config: config.clone(), store: Mutex::new(store), vault })))
    }

    /// The host of every address: as the server knows it, which may have another configuration than
    /// a command that was given its directory alone.
    pub(super) fn server_name(&self) -> Result<String, Failure> {
        match self {
            Desk::Server(_) => {
                let status = self.ask("GET", "/status", &Value::Null)?;
                Ok(status["server_name"].as_str().unwrap_or_default().to_owned())
            }
            Desk::File(file) => Ok(file.config.server_name.clone()),
        }
    }

    /// The doors as addresses that people can be given.
    pub(super) fn addresses(&self) -> Result<Addresses, Failure> {
        match self {
            Desk::Server(_) => {
                let status = self.ask("GET", "/status", &Value::Null)?;
                let address =
                    |door: &str| status["addresses"][door].as_str().map(ToOwned::to_owned);
                Ok(Addresses { tcp: address("tcp"), http: address("http") })
            }
            Desk::File(file) => {
                let doors = Doors::resting(&file.config).map_err(Failure::Failed)?;
                Ok(Addresses::of(&doors, &file.config.server_name))
            }
        }
    }

    /// The body of a good answer; a sentence otherwise.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let (status, body) = self.answer(method, path, body)?;
        if status == 200 { Ok(body) } else { Err(refused(status, &body)) }
    }

    /// Whether it was done; false where something is there already.
    pub(super) fn tell(&self, method: &str, path: &str, body: &Value) -> Result<bool, Failure> {
        let (status, body) = self.answer(method, path, body)?;
        match status {
            200 => Ok(true),
            409 if body["reason"] == "already-there" => Ok(false),
            _ => Err(refused(status, &body)),
        }
    }

    fn answer(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), Failure> {
        match self {
            Desk::Server(socket) => {
                let response = client::ask(socket, method, path, body).map_err(|e| {
                    Failure::Failed(format!(
                        "the server at {} did not answer: {e}",
                        socket.display()
                    ))
                })?;
                Ok((response.status, response.body))
            }
            Desk::File(file) => {
                let body = if body.is_null() { String::new() } else { body.to_string() };
                let mut progress = super::backup::Progress::default();
                let hear = &mut |done| progress.hear(done);
                let answer = admin::answer(&**file, method, path, body.as_bytes(), hear);
                let Answer { status, body } = answer;
                Ok((status, body))
            }
        }
    }

    /// Asks, then closes the file in order.
    pub(super) fn ask_once(self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.ask(method, path, body);
        self.close()?;
        answer
    }

    pub(super) fn close(self) -> Done {
        match self {
            Desk::Server(_) => Ok(()),
            Desk::File(file) => {
                let store = file.store.into_inner().unwrap_or_else(PoisonError::into_inner);
                store.close().map_err(|e| Failure::Failed(e.to_string()))
            }
        }
    }
}

fn refused(status: u16, body: &Value) -> Failure {
    Failure::Failed(match body.get("message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => format!("the server answered with status {status}"),
    })
}

/// Whether a server listens on the socket. Not being allowed to ask is an error: the file must not
/// be touched then.
pub(super) fn server_answers(socket: &Path) -> Result<bool, Failure> {
    match UnixStream::connect(socket) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(false),
            _ => Err(Failure::Failed(format!(
                "the management socket {} cannot be used: {error}; run this as the server's user",
                socket.display()
            ))),
        },
    }
}

/// Opens the database of a directory; on an error nothing was changed.
pub(super) fn open(directory: &Path, options: Options) -> Result<Store, OpenError> {
    Store::open(Place::Directory(directory.to_owned()), options)
}

pub(super) fn options(config: &Config) -> Result<Options, Failure> {
    let cache_bytes = config.budget()?.cache as usize;
    Ok(Options { cache_bytes, free_space: config.limits.free_space })
}

impl File {
    fn store<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        work(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl admin::Desk for File {
    fn order(&self, order: Order) -> Result<Reply, Refusal> {
        let mut chance = [0; 32];
        SystemRandom::new().fill(&mut chance).map_err(|_| Refusal::Unavailable)?;
        let noted = self.store(|store| clock::noted(&store.reader()));
        let times = Reckoning::of(Clock::system().wall(), noted);
        let context = Context {
            now: times.now,
            sure: times.sure,
            chance,
            home: &self.config.server_name,
            limits: &self.config.limits,
            registration: self.config.registration,
            federated: false,
            here: &domain::NobodyHere,
        };
        let command = Command::Operator(order);
        self.store(|store| {
            if !store.has_room() {
                return Err(Refusal::DiskFull);
            }
            let outcome = store.write(|tx| domain::apply(tx, &context, Actor::Operator, command));
            outcome.map(|outcome| outcome.reply).unwrap_or_else(|why| {
                error!("{why}");
                Err(Refusal::Unavailable)
            })
        })
    }

    fn hash(&self, password: &[u8]) -> Option<Verifier> {
        password::hash(password, &self.config.password)
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn status(&self) -> Result<Value, StoreError> {
        Ok(json!({ "running": false }))
    }

    fn backup(
        &self,
        path: &Path,
        keys: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, String> {
        let reader = self.store(|store| store.reader());
        let contents = Contents::of(&self.config, keys);
        let verdict = archive::write(&reader, path, &contents, progress)?;
        Logbook::note_backup(&self.config.data_dir, path);
        Ok(verdict)
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        self.store(|store| store.reader()).verify(progress)
    }

    fn page(&self, login: &Login, from: &Value) -> Result<Value, ExportError> {
        let reader = self.store(|store| store.reader());
        moving::page(&reader, self.home(), login, from)
    }

    fn home(&self) -> &str {
        &self.config.server_name
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn health(&self, _patience: Duration) -> Result<(), String> {
        Err("no server runs".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Admin;
    use crate::admin::tests::Fake;

    #[test]
    fn a_running_server_is_asked_and_its_refusals_become_sentences() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..Config::for_tests() };
        let admin = Admin::start(config.admin_socket(), None, Fake::default()).unwrap();
        let desk = Desk::find(&config, false).unwrap();
        assert!(matches!(desk, Desk::Server(_)));
        let alice = json!({ "login": "alice", "password": "secret" });
        assert_eq!(desk.ask("POST", "/users", &alice).unwrap(), json!({}));
        let again = desk.ask("POST", "/users", &alice).unwrap_err();
        assert!(matches!(again, Failure::Failed(why) if why.starts_with("the login is taken")));
        let users = desk.ask("GET", "/users", &Value::Null).unwrap();
        assert_eq!(users["users"][0]["login"], "alice");
        admin.stop();
        assert!(matches!(desk.ask("GET", "/users", &Value::Null), Err(Failure::Failed(_))));
    }

    #[test]
    fn without_a_server_the_file_takes_the_same_orders() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().join("data"), ..Config::for_tests() };
        let find = |make| Desk::find(&config, make).unwrap();
        let alice = json!({ "login": "Alice", "password": "secret" });
        assert_eq!(find(true).ask_once("POST", "/users", &alice).unwrap(), json!({}));
        let again = find(true).ask_once("POST", "/users", &alice).unwrap_err();
        assert!(matches!(again, Failure::Failed(why) if why.starts_with("the login is taken")));
        let login = json!({ "login": "alice" });
        find(false).ask_once("POST", "/users/disable", &login).unwrap();
        let users = find(false).ask_once("GET", "/users", &Value::Null).unwrap();
        assert_eq!(users["users"][0]["login"], "alice");
        assert_eq!(users["users"][0]["disabled"], true);
        let invite = find(false).ask_once("POST", "/invites", &json!({ "uses": 2 })).unwrap();
        assert!(invite["code"].as_str().is_some_and(|code| code.len() >= 16), "{invite}");
        let held = find(false);
        let busy = Desk::find(&config, false).unwrap_err();
        assert!(matches!(busy, Failure::Failed(why) if why.contains("in use by another process")));
        held.close().unwrap();
    }

    #[test]
    fn app_passwords_are_made_and_taken_back_on_the_file_too() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: directory.path().join("data"), ..Config::for_tests() };
        let ask = |path: &str, body: Value| {
            Desk::find(&config, true).unwrap().ask_once("POST", path, &body)
        };
        ask("/users", json!({ "login": "alice", "password": "secret" })).unwrap();
        let phone = json!({ "login": "alice", "name": "phone" });
        let made = ask("/users/app-passwords/add", phone.clone()).unwrap();
        assert_eq!(
            (made["name"].as_str(), made["password"].as_str().map(str::len)),
            (Some("phone"), Some(29))
        );
        let again = ask("/users/app-passwords/add", phone.clone()).unwrap_err();
        assert!(matches!(again, Failure::Failed(why) if why.contains("of this name already")));
        let list = || ask("/users/app-passwords", json!({ "login": "alice" })).unwrap();
        assert_eq!(list()["app_passwords"][0]["readable"], true);
        assert_eq!(list()["trouble"], Value::Null);
        let key = config.data_dir.join("secrets.key");
        std::fs::remove_file(key).unwrap();
        assert_eq!(list()["app_passwords"][0]["readable"], false);
        let trouble = list()["trouble"].as_str().unwrap().to_owned();
        assert!(trouble.contains("secrets.key is missing, so 1 of 1"), "{trouble}");
        ask("/users/app-passwords/revoke", phone.clone()).unwrap();
        let gone = ask("/users/app-passwords/revoke", phone).unwrap_err();
        assert!(matches!(gone, Failure::Failed(why) if why.contains("no app password")));
        assert_eq!(list(), json!({ "app_passwords": [], "trouble": null }));
    }

    #[test]
    fn without_server_and_database_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        let config = Config { data_dir: data_dir.clone(), ..Config::for_tests() };
        let failure = Desk::find(&config, false).unwrap_err();
        assert!(matches!(failure, Failure::Failed(why) if why.contains("there is no database")));
        assert!(!data_dir.exists());
    }
}
