//! What every connection of this process shares.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::domain::id::{SessionId, SessionKey};
use crate::domain::words::Refusal;
use crate::engine::{Answer, Exchange, Seat};
use crate::limits::{
    LINGER_SECS, Limits, NAMELESS_SECS, STUCK_WRITE_SECS, TINODE_POLL_MILLIS, TINODE_SESSION_SECS,
    UNFINISHED_SECS,
};
use crate::metrics::Metrics;
use crate::net::poll::Polls;
use crate::net::tinode::{self, Tongue};
use crate::pool::Pool;
use crate::wire::{Ask, House};

/// The engine as connections see it; a trait so that they can be tried without one.
pub(super) trait Core: Send + Sync + 'static {
    /// What is spoken on Tinode's paths.
    type Tinode: Tongue;

    fn ask(&self, peer: IpAddr, ask: Ask) -> impl Future<Output = Answer> + Send {
        let key = ask.who.as_ref().map(SessionId::key);
        self.ask_by(key, peer, ask)
    }
    /// See [`Exchange::ask_by`].
    fn ask_by(
        &self,
        key: Option<SessionKey>,
        peer: IpAddr,
        ask: Ask,
    ) -> impl Future<Output = Answer> + Send;
    fn seat(
        &self,
        session: SessionId,
        layer: u32,
    ) -> impl Future<Output = Result<Arc<Seat>, Refusal>> + Send;
    fn newest(&self, seat: &Seat) -> impl Future<Output = Answer> + Send;
}

impl Core for Exchange {
    type Tinode = tinode::Tinode;

    fn ask_by(
        &self,
        key: Option<SessionKey>,
        peer: IpAddr,
        ask: Ask,
    ) -> impl Future<Output = Answer> + Send {
        Exchange::ask_by(self, key, peer, ask)
    }

    fn seat(
        &self,
        session: SessionId,
        layer: u32,
    ) -> impl Future<Output = Result<Arc<Seat>, Refusal>> + Send {
        Exchange::seat(self, session, layer)
    }

    fn newest(&self, seat: &Seat) -> impl Future<Output = Answer> + Send {
        Exchange::newest(self, seat)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Host<X> {
    pub(super) core: X,
    /// Replaced by a reload; conversations go on with what they began with.
    pub(super) present: Arc<Present>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) patience: Patience,
    /// What is half read and half written, over all connections, beyond [`SMALL_BYTES`] of each.
    pub(super) buffers: Arc<Pool>,
    pub(super) polls: Polls,
}

/// What a connection may hold of its peer's bytes without asking for it: an ordinary packet. The
/// memory of connections is reckoned with that.
pub(super) const SMALL_BYTES: usize = 2048;

/// The house as it is now: a reload replaces it, and conversations go on with what they began with.
#[derive(Debug)]
pub(super) struct Present(RwLock<Arc<House>>);

impl Present {
    pub(super) fn new(house: Arc<House>) -> Arc<Present> {
        Arc::new(Present(RwLock::new(house)))
    }

    pub(super) fn replace(&self, house: Arc<House>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = house;
    }
}

impl<X> Host<X> {
    pub(super) fn house(&self) -> Arc<House> {
        self.present.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long is waited for what. Tests wait less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A packet or request that has begun; a TLS handshake.
    pub(super) unfinished: Duration,
    /// The first session that a stream names; the next request on a connection kept alive.
    pub(super) nameless: Duration,
    /// A peer that takes nothing of what is written to it.
    pub(super) stuck: Duration,
    /// What the peer still sends after this side has ended.
    pub(super) linger: Duration,
    /// A fetch of mSIM 2.
    pub(super) hold: Duration,
    /// A long poll of Tinode.
    pub(super) poll: Duration,
    /// The next request for a long-poll session of Tinode.
    pub(super) absent: Duration,
}

impl Patience {
    pub(super) fn of(limits: &Limits) -> Patience {
        Patience {
            unfinished: Duration::from_secs(UNFINISHED_SECS),
            nameless: Duration::from_secs(NAMELESS_SECS),
            stuck: Duration::from_secs(STUCK_WRITE_SECS),
            linger: Duration::from_secs(LINGER_SECS),
            hold: Duration::from_secs(limits.fetch_hold),
            poll: Duration::from_millis(TINODE_POLL_MILLIS),
            absent: Duration::from_secs(TINODE_SESSION_SECS),
        }
    }
}
