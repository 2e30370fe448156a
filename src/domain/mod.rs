//! What the server knows and the rules it keeps. Pure: no clock, no randomness, no I/O, no serde,
//! no async; time and chance come in a [`Context`].
//!
//! A rule refuses before it writes, so that a refusal leaves the shared transaction clean. Given
//! the same state and the same commands it does the same thing: model tests, crash tests and the
//! commands that work on a closed database all rest on that.

pub mod id;
pub mod nouns;
pub mod words;

use crate::domain::id::Timestamp;
use crate::domain::words::{Actor, Command, Outcome};
use crate::limits::Limits;
use crate::store::{StoreError, Tx};

/// Everything a rule may know beside the state.
#[derive(Debug)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// 32 random bytes, fresh for each command.
    pub chance: [u8; 32],
    /// The host part of this server's addresses, lower case.
    pub home: &'a str,
    pub limits: &'a Limits,
    pub registration: Registration,
    /// Whether messages may leave for other servers.
    pub federated: bool,
}

/// Who may register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    #[default]
    Open,
    Invite,
    Closed,
}

/// Does one command. An error is the disk's; everything else is in the outcome.
pub fn apply(
    _tx: &mut Tx<'_>,
    _context: &Context<'_>,
    _actor: Actor,
    _command: Command,
) -> Result<Outcome, StoreError> {
    todo!()
}
