//! TLS: the configuration in force, replaced without dropping anybody, and handshakes within
//! bounds.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::crypto::ring::{Ticketer, default_provider};
use futures_rustls::rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};
use futures_rustls::rustls::{CipherSuite, crypto::CryptoProvider};
use futures_rustls::server::TlsStream;
use smol::Timer;
use smol::channel::{Sender, bounded};
use smol::future::FutureExt;

use crate::config::{Config, TlsMode};
use crate::net::certificate::Certificate;
use crate::net::stream::Plain;

/// Handshakes at once: some 10 KiB each. With one more the oldest is given up, which is the one
/// least likely to come to an end.
const HANDSHAKES_MAX: usize = 128;

/// What encrypted connections begin with.
pub struct Tls {
    mode: Source,
    now: Mutex<Now>,
    /// Outlives certificates: a client that was here before resumes after a reload, too.
    tickets: Arc<dyn ProducesTickets>,
    under_way: Mutex<UnderWay>,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Files,
    Own,
}

struct Now {
    config: Arc<ServerConfig>,
    pin: String,
}

#[derive(Default)]
struct UnderWay {
    last: u64,
    /// Dropping a sender gives its handshake up.
    oldest_first: VecDeque<(u64, Sender<()>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Tls {
    /// `None`: connections are plain. An error is a sentence for the operator.
    pub fn start(config: &Config) -> Result<Option<Tls>, String> {
        let Some(mode) = source(config) else { return Ok(None) };
        let tickets = Ticketer::new().map_err(|e| format!("no key for TLS tickets: {e}"))?;
        let now = load(mode, config, &tickets)?;
        let under_way = Mutex::default();
        Ok(Some(Tls { mode, now: Mutex::new(now), tickets, under_way }))
    }

    /// Whether connections are encrypted with this configuration.
    pub fn is_wanted(config: &Config) -> bool {
        source(config).is_some()
    }

    /// SHA-256 of the certificate, as `end-cert=` of an address holds it.
    pub fn pin(&self) -> String {
        lock(&self.now).pin.clone()
    }

    /// Reads the certificate again for connections that come from now on. Where that fails, the one
    /// in force stays.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        if source(config) != Some(self.mode) {
            return Err("tls.mode changes with a restart only; the certificate stays".into());
        }
        let now = load(self.mode, config, &self.tickets)
            .map_err(|why| format!("{why}; the certificate in use stays"))?;
        let old = std::mem::replace(&mut *lock(&self.now), now);
        if old.pin != self.pin() {
            log::info!("the certificate was replaced, its pin is {}", self.pin());
        }
        Ok(())
    }

    /// Encrypts a connection, or gives it up after `patience`. Nothing is spent on one that says
    /// nothing. The caller boxes this: it is large and short.
    pub(super) async fn shake(
        &self,
        socket: Plain,
        patience: Duration,
    ) -> io::Result<Box<TlsStream<Plain>>> {
        let shaking = async {
            socket.readable().await?;
            let acceptor = TlsAcceptor::from(lock(&self.now).config.clone());
            let (keep, given_up) = bounded(1);
            let _place = self.begin(keep);
            let evicted = async {
                // Nobody sends anything; the sender is dropped.
                let _ = given_up.recv().await;
                Err(io::ErrorKind::ConnectionAborted.into())
            };
            acceptor.accept(socket).or(evicted).await
        };
        let late = async {
            Timer::after(patience).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        shaking.or(late).await.map(Box::new)
    }

    fn begin(&self, keep: Sender<()>) -> Place<'_> {
        let mut under_way = lock(&self.under_way);
        under_way.last += 1;
        let number = under_way.last;
        under_way.oldest_first.push_back((number, keep));
        if HANDSHAKES_MAX < under_way.oldest_first.len() {
            under_way.oldest_first.pop_front();
        }
        Place { tls: self, number }
    }
}

/// A handshake among those under way.
struct Place<'a> {
    tls: &'a Tls,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.tls.under_way).oldest_first.retain(|(number, _)| *number != self.number);
    }
}

/// Whether a configuration wants plain connections.
pub(super) fn is_off(config: &Config) -> bool {
    source(config).is_none()
}

/// `auto`: off while everything that listens does so on the loopback.
fn source(config: &Config) -> Option<Source> {
    match config.tls.mode {
        TlsMode::Off => None,
        TlsMode::Files => Some(Source::Files),
        TlsMode::SelfSigned => Some(Source::Own),
        TlsMode::Auto => {
            let listen = &config.listen;
            let doors = [
                &listen.tcp,
                &listen.http,
                &listen.line,
                &listen.tags,
                &listen.files,
                &listen.tinode,
            ];
            let is_inside = |door: &&String| {
                door.is_empty()
                    || door.parse::<SocketAddr>().is_ok_and(|a| a.ip().to_canonical().is_loopback())
            };
            (!doors.iter().all(is_inside)).then_some(Source::Own)
        }
    }
}

fn load(
    source: Source,
    config: &Config,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Now, String> {
    let certificate = match source {
        Source::Files => Certificate::from_files(&config.tls.cert, &config.tls.key)?,
        Source::Own => Certificate::own(config)?,
    };
    let pin = certificate.pin();
    let chacha_first = !has_aes(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let provider = Arc::new(provider(chacha_first));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS could not be set up: {e}"))?
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)
        .map_err(|e| format!("the certificate and its key do not do: {e}"))?;
    config.ignore_client_order = chacha_first;
    // Tickets are kept by the clients, sessions would be kept by us.
    config.ticketer = tickets.clone();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Now { config: Arc::new(config), pin })
}

/// Without AES in hardware (every Pi before the 5), ChaCha20 costs a third of the time.
fn provider(chacha_first: bool) -> CryptoProvider {
    let mut provider = default_provider();
    if chacha_first {
        let is_chacha = |suite: CipherSuite| {
            matches!(
                suite,
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                    | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                    | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            )
        };
        // Stable: among equals the provider's order stays.
        provider.cipher_suites.sort_by_key(|suite| !is_chacha(suite.suite()));
    }
    provider
}

/// The kernel's list of what a processor can: `flags` on x86, `Features` on ARM.
fn has_aes(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .any(|line| line.split_ascii_whitespace().any(|word| word == "aes"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks stops half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
