//! The configuration: every key, its default, its check. A [`Config`] that exists is valid.

mod check;
mod error;
mod tinode;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::Registration;
use crate::limits::{Budget, CONFIG_BYTES_MAX, Limits, Switch};

pub use error::ConfigError;
use error::Fault;
pub use tinode::{Salt, Tinode};

/// Every key with its default and a comment: what `msimd config print` shows.
pub const DEFAULTS: &str = include_str!("config/msimd.toml");

/// `msimd.toml`. Every key is optional.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The host part of every address.
    pub server_name: String,
    /// msimd.redb, files, keys, the management socket.
    pub data_dir: PathBuf,
    pub registration: Registration,
    /// What REGISTER-INSTRUCTIONS answers; empty: a sentence of ours.
    pub instructions: String,
    pub instructions_url: String,
    /// "auto" or a size such as "64M": caches, mailboxes and buffers are sized from it.
    pub memory: String,
    /// Threads that serve carriers, see [`crate::net`]; 0: one per core.
    pub threads: usize,
    /// error, warn, info, debug.
    pub log: String,
    pub listen: Listen,
    pub http: Http,
    pub tinode: Tinode,
    pub tls: Tls,
    pub limits: Limits,
    pub password: Password,
    pub history: History,
    pub admin: Admin,
    pub tags: Tags,
    /// Accounts that may stop the server from this machine, by login.
    pub operators: Vec<String>,
    /// The file that it was read from.
    #[serde(skip)]
    pub source: Option<PathBuf>,
}

/// The numbers protocol.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tags {
    pub directory: Directory,
}

/// Whom a client is shown unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directory {
    #[default]
    Everyone,
    /// Those whom its user keeps, writes with and shares groups with.
    Contacts,
}

/// One door each; an empty string turns it off.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    pub tcp: String,
    pub http: String,
    pub line: String,
    pub tags: String,
    pub files: String,
    pub tinode: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Pages of these origins may speak to this server from a browser (CORS).
    pub origins: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub mode: TlsMode,
    /// PEM files for `mode = "files"`, read again on SIGHUP.
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Off while every listener is on the loopback, else self-signed.
    #[default]
    Auto,
    Off,
    Files,
    SelfSigned,
}

/// Argon2id.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Password {
    pub memory_kib: u32,
    pub passes: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// "forever", or for how long messages are kept: "365d".
    pub retention: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The management socket; empty: `<data_dir>/admin.sock`; "off": none.
    pub socket: PathBuf,
    /// A loopback address that also serves /metrics and /healthz; empty: none.
    pub metrics: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server_name: "localhost".into(),
            data_dir: "./msimd-data".into(),
            registration: Registration::Open,
            instructions: String::new(),
            instructions_url: String::new(),
            memory: "auto".into(),
            threads: 0,
            log: "info".into(),
            listen: Listen::default(),
            http: Http::default(),
            tinode: Tinode::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            password: Password::default(),
            history: History::default(),
            admin: Admin::default(),
            tags: Tags::default(),
            operators: Vec::new(),
            source: None,
        }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            tcp: "127.0.0.1:3217".into(),
            http: "127.0.0.1:3218".into(),
            line: "127.0.0.1:3216".into(),
            tags: "127.0.0.1:3219".into(),
            files: "127.0.0.1:3215".into(),
            tinode: String::new(),
        }
    }
}

impl Default for History {
    fn default() -> History {
        History { retention: "forever".into() }
    }
}

impl History {
    /// Days that messages are kept; `None`: for ever.
    pub fn days(&self) -> Option<u32> {
        check::retention(&self.retention).flatten()
    }
}

impl Listen {
    /// Every door by its key.
    pub fn doors_mut(&mut self) -> [(&'static str, &mut String); 6] {
        [
            ("listen.tcp", &mut self.tcp),
            ("listen.http", &mut self.http),
            ("listen.line", &mut self.line),
            ("listen.tags", &mut self.tags),
            ("listen.files", &mut self.files),
            ("listen.tinode", &mut self.tinode),
        ]
    }
}

impl Default for Password {
    fn default() -> Password {
        Password { memory_kib: 19_456, passes: 2 }
    }
}

impl Config {
    /// The file to read: the one asked for, else `./msimd.toml`, else `/etc/msimd.toml`, where there
    /// is one.
    pub fn find(asked: Option<&Path>) -> Option<PathBuf> {
        asked.map(Path::to_owned).or_else(|| {
            let usual = ["msimd.toml", "/etc/msimd.toml"];
            usual.iter().map(PathBuf::from).find(|path| path.exists())
        })
    }

    /// Reads and checks a file; without one, checks the defaults. `data_dir` replaces the file's.
    pub fn load(path: Option<&Path>, data_dir: Option<&Path>) -> Result<Config, ConfigError> {
        let at = |mut error: ConfigError| {
            error.path = path.map(Path::to_owned);
            error
        };
        let text = match path {
            Some(path) => read(path).map_err(at)?,
            None => String::new(),
        };
        let mut config = Config::parse(&text).map_err(at)?;
        if let Some(data_dir) = data_dir {
            config.data_dir = data_dir.to_owned();
        }
        config.source = path.and_then(|path| std::path::absolute(path).ok());
        config.check(&text).map_err(at)?;
        Ok(config)
    }

    /// How the memory ceiling is shared out.
    pub fn budget(&self) -> Result<Budget, ConfigError> {
        check::budget(self).map_err(|fault| fault_in("", fault))
    }

    /// The management socket.
    ///
    /// Where it is "off" this is the path at which nobody listens.
    pub fn admin_socket(&self) -> PathBuf {
        if self.admin.socket.as_os_str().is_empty() || !self.has_admin() {
            self.data_dir.join("admin.sock")
        } else {
            self.admin.socket.clone()
        }
    }

    /// Whether there is a management socket.
    pub fn has_admin(&self) -> bool {
        self.admin.socket != Path::new("off")
    }

    /// The loopback address that also serves metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.admin.metrics.parse().ok()
    }

    /// What a running server may take over of a new configuration, and the names of those changes
    /// that wait for its next start.
    pub fn reloaded(&self, new: Config) -> (Config, Vec<&'static str>) {
        let mut merged = new;
        let mut waiting = Vec::new();
        let w = &mut waiting;
        let Config { listen, http, tls, limits, admin, .. } = &mut merged;
        keep(w, "[listen]", listen, &self.listen);
        keep(w, "[http]", http, &self.http);
        keep(w, "tls.mode", &mut tls.mode, &self.tls.mode);
        keep(w, "[admin]", admin, &self.admin);
        let old = &self.limits;
        keep(w, "limits.fetch_hold", &mut limits.fetch_hold, &old.fetch_hold);
        keep(w, "limits.max_packet_bytes", &mut limits.max_packet_bytes, &old.max_packet_bytes);
        keep(w, "limits.connections", &mut limits.connections, &old.connections);
        let (new_each, old_each) =
            (&mut limits.connections_per_address, &old.connections_per_address);
        keep(w, "limits.connections_per_address", new_each, old_each);
        keep(w, "limits.auth_concurrency", &mut limits.auth_concurrency, &old.auth_concurrency);
        keep(w, "limits.free_space", &mut limits.free_space, &old.free_space);
        keep(w, "server_name", &mut merged.server_name, &self.server_name);
        keep(w, "data_dir", &mut merged.data_dir, &self.data_dir);
        keep(w, "memory", &mut merged.memory, &self.memory);
        keep(w, "threads", &mut merged.threads, &self.threads);
        (merged, waiting)
    }

    /// Takes a text apart without looking at the values.
    fn parse(text: &str) -> Result<Config, ConfigError> {
        let mut config: Config =
            basic_toml::from_str(text).map_err(|e| error::of_parser(&e, text))?;
        config.server_name.make_ascii_lowercase();
        Ok(config)
    }

    fn check(&self, text: &str) -> Result<(), ConfigError> {
        check::check(self).map_err(|fault| fault_in(text, fault))
    }

    /// What tests start from: ports chosen free, cheap password hashes, no delays or rates.
    pub fn for_tests() -> Config {
        let free = || String::from("127.0.0.1:0");
        let off = String::new;
        Config {
            server_name: "im.test".into(),
            listen: Listen {
                tcp: free(),
                http: free(),
                line: free(),
                tags: free(),
                files: off(),
                tinode: off(),
            },
            limits: Limits { rate: Switch::Off, login_delay: Switch::Off, ..Limits::default() },
            password: Password { memory_kib: 64, passes: 1 },
            admin: Admin { socket: "off".into(), ..Admin::default() },
            ..Config::default()
        }
    }
}

/// Puts the old value back where it differs, and says so.
fn keep<T: Clone + std::fmt::Debug>(
    waiting: &mut Vec<&'static str>,
    name: &'static str,
    new: &mut T,
    old: &T,
) {
    // Debug shows every field, and spares each struct a PartialEq for this alone.
    if format!("{old:?}") != format!("{new:?}") {
        waiting.push(name);
        new.clone_from(old);
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let cannot = |problem: String| ConfigError { path: None, line: None, key: None, problem };
    let file = std::fs::File::open(path).map_err(|e| cannot(format!("cannot be read: {e}")))?;
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|e| cannot(format!("cannot be read: {e}")))?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(cannot(format!("it has more than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn fault_in(text: &str, fault: Fault) -> ConfigError {
    let line = error::line_of(text, fault.key);
    ConfigError { path: None, line, key: Some(fault.key.to_owned()), problem: fault.problem }
}

#[cfg(test)]
mod tests;
