//! The one thread that changes anything, and the ways in and out of it.
//!
//! A turn takes the commands that wait, applies them in one transaction, commits once, and only
//! then answers and announces. Carriers wait for the engine, the engine waits for the disk, nobody
//! waits for a client: a full mailbox loses its updates and its session repairs from history.

pub mod seat;

use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::id::SessionId;
use crate::domain::words::{Command, Order, Refusal, Reply};
use crate::wire::Ask;

pub use seat::{Holder, Mail, Seat};

/// The way in: what carriers and the management socket hold of the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exchange {}

/// What came of an [`Ask`].
#[derive(Debug)]
pub struct Answer {
    pub reply: Result<Reply, Refusal>,
    /// The session the packet named, or the new one that it made, with its seat: whoever can carry
    /// pushes holds it (see [`Seat::hold`]).
    pub seat: Option<(SessionId, Arc<Seat>)>,
    /// The place of this answer in the order of everything that happened: mail with a smaller one
    /// is told before it.
    pub order: u64,
}

impl Exchange {
    /// Session, rate, fields, then the core: the refusals of mSIM decision 18 in that order.
    /// Passwords are hashed and long reads done on the blocking pool. `peer` is for rates and
    /// login delays.
    pub async fn ask(&self, _peer: IpAddr, _ask: Ask) -> Answer {
        todo!()
    }

    /// The seat of a session that is only to be listened at (an HTTP fetch); its layer becomes
    /// `layer`. A session that had no seat gets one that has lost its updates.
    pub async fn seat(&self, _session: SessionId, _layer: u32) -> Result<Arc<Seat>, Refusal> {
        todo!()
    }

    /// The end of what a RESYNC covers, for a seat whose mail was lost: mail up to `order` of the
    /// answer is covered by it.
    pub async fn newest(&self, _seat: &Seat) -> Answer {
        todo!()
    }

    /// For the management socket: an operator's order, from a plain thread.
    pub fn order(&self, _order: Order) -> Result<Reply, Refusal> {
        todo!()
    }

    #[doc(hidden)]
    pub fn _command(&self, _c: Command) {}
}
