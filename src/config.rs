//! The configuration: every key, its default, its check. A [`Config`] that exists is valid.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::Registration;
use crate::limits::{Limits, Switch};

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
    /// Threads that serve carriers; 0: one per core.
    pub threads: usize,
    /// error, warn, info, debug.
    pub log: String,
    pub listen: Listen,
    pub http: Http,
    pub tls: Tls,
    pub limits: Limits,
    pub password: Password,
    pub history: History,
    pub admin: Admin,
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

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct History {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The management socket; empty: `<data_dir>/admin.sock`.
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
            tls: Tls::default(),
            limits: Limits::default(),
            password: Password::default(),
            history: History::default(),
            admin: Admin::default(),
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

impl Default for Password {
    fn default() -> Password {
        Password { memory_kib: 19_456, passes: 2 }
    }
}

impl Config {
    /// What tests start from: ports chosen free, cheap password hashes, no delays or rates.
    pub fn for_tests() -> Config {
        let mut config = Config::default();
        config.server_name = "im.test".into();
        config.listen.tcp = "127.0.0.1:0".into();
        config.listen.http = "127.0.0.1:0".into();
        config.listen.line = String::new();
        config.listen.tags = String::new();
        config.listen.files = String::new();
        config.limits.rate = Switch::Off;
        config.limits.login_delay = Switch::Off;
        config.password = Password { memory_kib: 64, passes: 1 };
        config
    }
}
