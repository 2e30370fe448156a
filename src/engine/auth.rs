//! Proving passwords: on the blocking pool, few at once, in the same time whether the login exists
//! or not. What comes out is a [`Proof`], which nothing else can make.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use smol::lock::Semaphore;
use zeroize::Zeroizing;

use crate::config::{Config, Password};
use crate::domain::id::{AccountNo, Address, Login};
use crate::domain::nouns::{AccountState, Secret};
use crate::domain::words::{Proof, Refusal, SessionKind, Verifier};
use crate::engine::attempts::Attempts;
use crate::engine::challenge::Challenger;
use crate::engine::password;
use crate::engine::vault::{Vault, digest_of};
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
    vault: Vault,
    /// `None` where the system has no randomness: nobody can log in there at all.
    challenger: Option<Challenger>,
}

/// Who has a login, if anybody.
#[derive(Debug, Default)]
struct Known {
    /// An account that may log in.
    account: Option<(AccountNo, Verifier)>,
    secrets: Vec<Secret>,
}

impl Auth {
    /// Hashes once, for the decoy: some tens of milliseconds.
    pub(super) fn new(config: &Config, vault: Vault) -> Auth {
        // An empty decoy would answer at once; a checked configuration always hashes.
        let decoy = password::hash(b"", &config.password).unwrap_or(Verifier("".into()));
        Auth {
            permits: Semaphore::new(config.limits.auth_concurrency.max(1)),
            busy: AtomicUsize::new(0),
            attempts: Attempts::default(),
            decoy,
            vault,
            challenger: Challenger::new().map_err(|why| log::error!("{why}")).ok(),
        }
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.vault
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
        let password = Zeroizing::new(password);
        self.check(name, peer, config)?;
        // An app password needs no slow hash, so it waits for nobody's.
        if let Some(proof) = known(login.as_ref(), config, reader)?.proof_of_app(&password) {
            return self.settle(name, peer, Some(proof));
        }
        let _turn = Turn::take(&self.busy, config.limits.auth_waiting)?;
        let permit = self.permits.acquire().await;
        // Others may have failed while this one waited, and the password may be a new one.
        self.check(name, peer, config)?;
        let (no, verifier) = match known(login.as_ref(), config, reader)?.account {
            Some((no, verifier)) => (Some(no), verifier),
            None => (None, self.decoy.clone()),
        };
        let tried = verifier.clone();
        let matches = password.len() <= PASSWORD_BYTES_MAX
            && smol::unblock(move || password::verify(&password, &tried)).await;
        drop(permit);
        let proof = no.filter(|_| matches).map(|no| Proof::by(no, verifier));
        self.settle(name, peer, proof)
    }

    /// Whether somebody knows one of the passwords that can be read back: see `challenge`. Takes a
    /// fraction of a millisecond, so it waits for nobody.
    pub(super) fn prove_by_challenge(
        &self,
        login: Option<&Login>,
        salt: &str,
        hash: &[u8; 32],
        peer: IpAddr,
        config: &Config,
        reader: &Reader,
    ) -> Result<Proof, Refusal> {
        let name = login.map_or("", Login::as_str);
        self.check(name, peer, config)?;
        let known = known(login, config, reader)?;
        let account = known.account.as_ref().map(|(no, _)| *no);
        let key = self.vault.key();
        let challenger = self.challenger.as_ref().ok_or(Refusal::Unavailable)?;
        let found = challenger.answer(key.as_deref(), account, &known.secrets, salt, hash);
        let proof = account.zip(found).map(|(no, secret)| match &secret.digest {
            Some(_) => Proof::of_app(no, secret.name.clone()),
            None => Proof::of(no, SessionKind::Person),
        });
        self.settle(name, peer, proof)
    }

    fn settle(&self, name: &str, peer: IpAddr, proof: Option<Proof>) -> Result<Proof, Refusal> {
        match proof {
            Some(proof) => {
                self.attempts.succeeded(name, peer);
                Ok(proof)
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
        let password = Zeroizing::new(password);
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

/// Looks a login up. For one that nobody has as many rows are looked for.
fn known(login: Option<&Login>, config: &Config, reader: &Reader) -> Result<Known, Refusal> {
    let address = login.map(|login| Address::local(login.clone(), &config.server_name));
    let found = reader.read(|snapshot| {
        let no = match &address {
            Some(address) => snapshot.account_by_address(address)?,
            None => None,
        };
        // Accounts are numbered from 1.
        let no = no.unwrap_or(AccountNo(0));
        let account = snapshot.account(no)?.filter(|a| a.state == AccountState::Active);
        let secrets = snapshot.secrets(no)?;
        let account = account.and_then(|a| a.verifier.map(|verifier| (a.no, verifier)));
        Ok(Known { account, secrets })
    });
    found.map_err(|error| {
        log::error!("a login could not be looked up: {error}");
        Refusal::Unavailable
    })
}

impl Known {
    /// Proof, if it is an app password.
    fn proof_of_app(&self, password: &[u8]) -> Option<Proof> {
        let given = digest_of(password);
        let (no, _) = self.account.as_ref()?;
        let is_it = |s: &&Secret| s.digest.is_some_and(|d| password::same(&d.0, &given.0));
        let secret = self.secrets.iter().find(is_it)?;
        Some(Proof::of_app(*no, secret.name.clone()))
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
