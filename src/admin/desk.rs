//! Who carries out what the operator asks: the running server, or the database file itself where
//! no server runs (see `cli::desk`). The routes know only this.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::addresses::Addresses;
use crate::admin::logbook::Logbook;
use crate::admin::moving::{self, ExportError};
use crate::archive::{self, Contents};
use crate::config::Config;
use crate::domain::id::Login;
use crate::domain::words::{Order, Refusal, Reply, Verifier};
use crate::engine::vault::Vault;
use crate::engine::{Exchange, password};
use crate::limits::ENGINE_STUCK_SECS;
use crate::memory;
use crate::metrics::{Carrier, Metrics};
use crate::server::Doors;
use crate::store::{Look as _, Reader, StoreError, Verdict};

/// See the module. Every method may block but [`Desk::metrics`]; [`Desk::health`] takes no longer
/// than it is given.
pub trait Desk: Send + Sync {
    fn order(&self, order: Order) -> Result<Reply, Refusal>;
    /// A new password's verifier; `None` when the system has no randomness.
    fn hash(&self, password: &[u8]) -> Option<Verifier>;
    /// Where app passwords come from.
    fn vault(&self) -> &Vault;
    fn status(&self) -> Result<Value, StoreError>;
    /// Writes a verified backup to `path`, which must not exist; with the keys or without. The
    /// error is a sentence.
    fn backup(
        &self,
        path: &Path,
        keys: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, String>;
    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError>;
    /// The next lines of an account on its way out, see `moving`.
    fn page(&self, login: &Login, from: &Value) -> Result<Value, ExportError>;
    /// The host of this server's addresses.
    fn home(&self) -> &str;
    /// Prometheus text.
    fn metrics(&self) -> String;
    /// Whether the server does its work, or what does not, in a sentence.
    fn health(&self, patience: Duration) -> Result<(), String>;
}

/// Asks the carriers' executor for a sign of life and waits at most so long.
pub type Probe = Box<dyn Fn(Duration) -> bool + Send + Sync>;

/// The desk of a running server.
pub struct Office {
    pub config: Arc<Config>,
    pub doors: Doors,
    pub exchange: Exchange,
    pub reader: Reader,
    pub metrics: Arc<Metrics>,
    pub probe: Probe,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl Desk for Office {
    fn order(&self, order: Order) -> Result<Reply, Refusal> {
        self.exchange.order(order)
    }

    fn hash(&self, password: &[u8]) -> Option<Verifier> {
        password::hash(password, &self.config.password)
    }

    fn vault(&self) -> &Vault {
        self.exchange.vault()
    }

    fn status(&self) -> Result<Value, StoreError> {
        let accounts = self.reader.read(|snapshot| Ok(snapshot.accounts()?.len()))?;
        let vault = self.vault();
        let (kept, readable) = self.reader.read(|here| here.sealed_counts(vault.key_id()))?;
        let m = &self.metrics;
        let work = m.work();
        let connections: serde_json::Map<String, Value> = Carrier::ALL
            .iter()
            .map(|carrier| (carrier.name().to_owned(), m.connections(*carrier).get().into()))
            .collect();
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "running": true,
            "server_name": self.config.server_name,
            "uptime_secs": m.uptime().as_secs(),
            "doors": {
                "tcp": self.doors.tcp.map(|a| a.to_string()),
                "http": self.doors.http.map(|a| a.to_string()),
                "line": self.doors.line.map(|a| a.to_string()),
                "tags": self.doors.tags.map(|a| a.to_string()),
                "tinode": self.doors.tinode.map(|a| a.to_string()),
                "end_cert": self.doors.pin,
            },
            "addresses": Addresses::of(&self.doors, &self.config.server_name).json(),
            "accounts": accounts,
            "sealed_passwords": {
                "kept": kept,
                "readable": readable,
                "key": vault.describe(kept, readable),
            },
            "quarantined": self.reader.quarantined(),
            "pid": std::process::id(),
            "sessions": m.sessions.get(),
            "connections": connections,
            "messages": m.messages.get(),
            "commands": m.commands.get(),
            "refusals": m.refusals.get(),
            "mailbox_overflows": m.overflows.get(),
            "failed_logins": m.failed_logins.get(),
            "commits": work.commits,
            "syncs": work.syncs,
            "bytes_written": work.bytes_written,
            "resident_bytes": memory::resident(),
            "memory_ceiling_bytes": self.config.budget().ok().map(|b| b.ceiling),
            "engine_busy_ms": m.engine.busy().as_millis() as u64,
        }))
    }

    fn backup(
        &self,
        path: &Path,
        keys: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Verdict, String> {
        let contents = Contents::of(&self.config, keys);
        let verdict = archive::write(&self.reader, path, &contents, progress)?;
        Logbook::note_backup(&self.config.data_dir, path);
        Ok(verdict)
    }

    fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
        self.reader.verify(progress)
    }

    fn page(&self, login: &Login, from: &Value) -> Result<Value, ExportError> {
        moving::page(&self.reader, self.home(), login, from)
    }

    fn home(&self) -> &str {
        &self.config.server_name
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn health(&self, patience: Duration) -> Result<(), String> {
        let busy = self.metrics.engine.busy();
        if self.metrics.engine.is_stuck() {
            return Err(format!(
                "the engine has been at one turn for {} s, more than {ENGINE_STUCK_SECS} s",
                busy.as_secs()
            ));
        }
        if !(self.probe)(patience) {
            return Err(format!(
                "the carriers gave no sign of life for {} ms",
                patience.as_millis()
            ));
        }
        Ok(())
    }
}
