//! Long-poll sessions: conversations that outlive the requests they consist of.
//!
//! A session is one task that runs the ordinary driver over a [`pipe`]; requests find it by its
//! secret. It counts as one more connection of the address that opened it.

pub(in crate::net) mod pipe;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_executor::Executor;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::metrics::Carrier;
use crate::net::converse::{self, converse};
use crate::net::guest::{Full, Guest};
use crate::net::host::{Core, Host};
use crate::net::stream::Stream;
use crate::net::tinode::{Opening, Tongue};
use pipe::{Inner, Pipe};

/// Of a session's secret; 12 characters in base64.
const SECRET_BYTES: usize = 9;

type Secret = [u8; SECRET_BYTES];

/// All sessions.
pub(super) struct Polls {
    /// Weak, because its tasks hold what holds this.
    executor: Weak<Executor<'static>>,
    /// Their keys are random, so that finding one tells nothing of others.
    sessions: Mutex<HashMap<Secret, Arc<Pipe>>>,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    Full(Full),
    /// The server ends, or the machine has no random bytes.
    Broken,
}

/// A session's place among all; free again when this is dropped.
struct Place<X> {
    host: Arc<Host<X>>,
    secret: Secret,
}

impl Polls {
    pub(super) fn new(executor: &Arc<Executor<'static>>) -> Polls {
        Polls { executor: Arc::downgrade(executor), sessions: Mutex::default() }
    }

    pub(super) fn find(&self, sid: &str) -> Option<Arc<Pipe>> {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(sid).ok()?;
        self.sessions().get(&*secret).cloned()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Secret, Arc<Pipe>>> {
        // Nothing in here panics half-way through a change.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Polls {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Polls({})", self.sessions().len())
    }
}

impl<X> Drop for Place<X> {
    fn drop(&mut self) {
        let mut sessions = self.host.polls.sessions();
        sessions.remove(&self.secret);
        if sessions.is_empty() {
            // A crowd that was leaves no memory behind.
            *sessions = HashMap::new();
        }
    }
}

/// Begins a session for somebody like `guest`; its first packet tells its secret.
pub(super) fn open<X: Core>(
    host: &Arc<Host<X>>,
    guest: &Guest,
    id: Option<Box<str>>,
) -> Result<Arc<Pipe>, NotOpened> {
    let own = guest.bring(Carrier::TinodePoll).map_err(NotOpened::Full)?;
    let executor = host.polls.executor.upgrade().ok_or(NotOpened::Broken)?;
    let mut secret = Secret::default();
    SystemRandom::new().fill(&mut secret).map_err(|_| NotOpened::Broken)?;
    let (pipe, inner) = Pipe::new(host.buffers.clone(), own.guests(), host.patience.absent);
    host.polls.sessions().insert(secret, pipe.clone());
    let place = Place { host: host.clone(), secret };
    let sid = BASE64_URL_SAFE_NO_PAD.encode(secret);
    let opening = Box::new(Opening { id, sid: Some(sid.into()) });
    executor.spawn(serve(place, own, inner, opening)).detach();
    Ok(pipe)
}

async fn serve<X: Core>(place: Place<X>, guest: Guest, inner: Box<Inner>, opening: Box<Opening>) {
    guest.settle().await;
    let _ = talk(&place.host, guest, inner, *opening).await;
}

/// No `async fn`: that would keep its arguments beside what is made of them.
fn talk<'a, X: Core>(
    host: &'a Host<X>,
    guest: Guest,
    inner: Box<Inner>,
    opening: Opening,
) -> impl Future<Output = io::Result<()>> + use<'a, X> {
    let house = host.house();
    let codec = X::Tinode::frames(&house);
    let dialogue = X::Tinode::dialogue(house, opening);
    let stream = Stream::Pipe(inner);
    converse(host, guest, stream, codec, dialogue, converse::Opening::default())
}

#[cfg(test)]
mod tests;
