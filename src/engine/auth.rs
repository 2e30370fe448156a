//! Proving passwords: on the blocking pool, few at once, in the same time whether the login exists
//! or not. What comes out is a [`Proof`], which nothing else can make.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use smol::lock::Semaphore;

use crate::config::{Config, Password};
use crate::domain::id::Address;
use crate::domain::nouns::AccountState;
use crate::domain::words::{Proof, Refusal, SessionKind, Verifier};
use crate::engine::attempts::Attempts;
use crate::engine::password;
use crate::limits::{LOGIN_BYTES_MAX, PASSWORD_BYTES_MAX, Switch};
use crate::store::{Look, Reader};
use crate::wire::Credentials;

#[derive(Debug)]
pub(super) struct Auth {
    /// One hash at once by default: each takes `memory_kib`, and a Pi has little.
    permits: Semaphore,
    /// How many wait for one or have one.
    busy: AtomicUsize,
    attempts: Attempts,
    /// What an unknown login is checked against, made at the present cost.
    decoy: Verifier,
}

impl Auth {
    /// Hashes once, for the decoy: some tens of milliseconds.
    pub(super) fn new(config: &Config) -> Auth {
        // An empty decoy would answer at once; a checked configuration always hashes.
        let decoy = password::hash(b"", &config.password).unwrap_or(Verifier("".into()));
        Auth {
            permits: Semaphore::new(config.limits.auth_concurrency.max(1)),
            busy: AtomicUsize::new(0),
            attempts: Attempts::default(),
            decoy,
        }
    }

    pub(super) async fn prove(
        &self,
        credentials: Credentials,
        peer: IpAddr,
        config: &Config,
        reader: &Reader,
    ) -> Result<Proof, Refusal> {
        let Credentials { login, password } = credentials;
        let name = login.as_ref().map_or("", |l| l.as_str());
        debug_assert!(name.len() <= LOGIN_BYTES_MAX);
        self.check(name, peer, config)?;
        let _turn = Turn::take(&self.busy, config.limits.auth_waiting)?;
        let permit = self.permits.acquire().await;
        // Others may have failed while this one waited.
        self.check(name, peer, config)?;

        let address = login.as_ref().map(|l| Address::local(l.clone(), &config.server_name));
        let account = reader
            .read(|snapshot| {
                let Some(address) = &address else { return Ok(None) };
                let Some(no) = snapshot.account_by_address(address)? else { return Ok(None) };
                snapshot.account(no)
            })
            .map_err(|error| {
                log::error!("a login could not be looked up: {error}");
                Refusal::Unavailable
            })?;
        let known = account.and_then(|a| {
            let active = a.state == AccountState::Active;
            a.verifier.filter(|_| active).map(|v| (a.no, v))
        });
        let (no, verifier) = match known {
            Some((no, verifier)) => (Some(no), verifier),
            None => (None, self.decoy.clone()),
        };
        let matches = password.len() <= PASSWORD_BYTES_MAX
            && smol::unblock(move || password::verify(&password, &verifier)).await;
        drop(permit);
        match no.filter(|_| matches) {
            Some(no) => {
                self.attempts.succeeded(name, peer);
                Ok(Proof::of(no, SessionKind::Person))
            }
            None => {
                self.attempts.failed(name, peer, Instant::now());
                Err(Refusal::WrongCredentials)
            }
        }
    }

    /// A new account's verifier.
    pub(super) async fn hash(
        &self,
        password: Vec<u8>,
        config: &Arc<Config>,
    ) -> Result<Verifier, Refusal> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(Refusal::BadPassword);
        }
        let _turn = Turn::take(&self.busy, config.limits.auth_waiting)?;
        let permit = self.permits.acquire().await;
        let cost: Password = config.password.clone();
        let verifier = smol::unblock(move || password::hash(&password, &cost)).await;
        drop(permit);
        verifier.ok_or(Refusal::Unavailable)
    }

    fn check(&self, login: &str, peer: IpAddr, config: &Config) -> Result<(), Refusal> {
        if config.limits.login_delay == Switch::Off {
            return Ok(());
        }
        self.attempts
            .check(login, peer, Instant::now())
            .map_err(|retry_after| Refusal::TooManyAttempts { retry_after })
    }
}

/// One of the few that may wait for a hash.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(busy: &'a AtomicUsize, max: usize) -> Result<Turn<'a>, Refusal> {
        let turn = Turn(busy);
        if busy.fetch_add(1, Ordering::Relaxed) >= max {
            // The guard's drop takes it back.
            return Err(Refusal::TooManyAttempts { retry_after: 1 });
        }
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
