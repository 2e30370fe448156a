//! The whole server, assembled: store, engine, carriers, management. What `msimd serve` runs and
//! what tests start on free ports.

use std::fmt;
use std::net::SocketAddr;

use crate::config::Config;
use crate::store::Place;

/// A running server. Dropping it without [`Server::stop`] ends it like a crash would.
#[derive(Debug)]
pub struct Server {}

/// Where its doors are, once they are open; `None` for those turned off.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    pub tcp: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    /// The pin of the certificate (`end-cert=` of an address) when TLS is on.
    pub pin: Option<String>,
}

/// Why it did not start: one sentence with what to do.
#[derive(Debug)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl Server {
    /// Opens the database (in memory for `Place::Memory`), starts every thread, binds every door.
    pub fn start(_config: Config, _place: Place) -> Result<Server, StartError> {
        todo!()
    }

    pub fn doors(&self) -> &Doors {
        todo!()
    }

    /// Stops in order: doors, conversations, engine, database. At most `limits::DRAIN_SECS`.
    /// False when something did not end in order.
    pub fn stop(self) -> bool {
        todo!()
    }
}
