//! The whole server, assembled: store, engine, carriers, management. What `msimd serve` runs and
//! what tests start on free ports.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admin::Admin;
use crate::config::Config;
use crate::engine::{self, Exchange, Running};
use crate::limits::{Budget, DRAIN_SECS};
use crate::metrics::Metrics;
use crate::net::{Net, Tls};
use crate::store::{Options, Place, Store};
use crate::wire::House;

/// A running server. Dropping it without [`Server::stop`] ends it like a crash would.
#[derive(Debug)]
pub struct Server {
    doors: Doors,
    net: Net,
    admin: Option<Admin>,
    exchange: Exchange,
    engine: Running,
}

/// Where its doors are, once they are open; `None` for those turned off.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    pub tcp: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    /// The management socket.
    pub admin: Option<PathBuf>,
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
    /// The database comes first: whoever does not get it has disturbed nobody.
    pub fn start(config: Config, place: Place) -> Result<Server, StartError> {
        let budget = Budget::of(&config).map_err(StartError)?;
        let options =
            Options { cache_bytes: budget.cache_bytes, free_space: config.limits.free_space };
        let store = Store::open(place, options).map_err(|error| StartError(error.to_string()))?;
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::default());
        let reader = store.reader();
        let (exchange, engine) = engine::start(store, config.clone(), metrics.clone())
            .map_err(|error| StartError(format!("the engine's thread did not start: {error}")))?;

        let house = Arc::new(House {
            name: config.server_name.to_ascii_lowercase().into(),
            config: config.clone(),
        });
        let started = Tls::start(&config)
            .and_then(|tls| Net::start(house, exchange.clone(), tls, metrics.clone()));
        let net = match started {
            Ok(net) => net,
            Err(why) => return Err(give_up(engine, why)),
        };
        let mut doors = Doors {
            tcp: net.tcp_address(),
            http: net.http_address(),
            admin: None,
            pin: net.pin(),
        };
        let admin = match Admin::start(&config, &exchange, &reader, &metrics, &doors) {
            Ok(admin) => admin,
            Err(why) => {
                net.stop(Duration::ZERO);
                return Err(give_up(engine, why));
            }
        };
        doors.admin = admin.as_ref().map(|a| a.socket().to_owned());
        Ok(Server { doors, net, admin, exchange, engine })
    }

    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Closes when the engine has failed for good: what is left to do is [`Server::stop`] and a
    /// non-zero exit code, for the service manager to start anew.
    pub fn failed(&self) -> smol::channel::Receiver<()> {
        self.engine.ended()
    }

    /// Takes over what can change while running: limits of the core and the certificate. An error
    /// says what stayed as it was.
    pub fn reload(&self, config: Config) -> Result<(), String> {
        let config = Arc::new(config);
        self.exchange.reload(config.clone());
        self.net.reload_tls(&config)
    }

    /// Stops in order: doors, conversations, engine, database. At most `limits::DRAIN_SECS`.
    /// False when something did not end in order.
    pub fn stop(self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(DRAIN_SECS);
        // The database gets the second half of the time, should the conversations take theirs.
        let drained = self.net.stop(Duration::from_secs(DRAIN_SECS) / 2);
        if !drained {
            log::warn!("some conversations were cut short");
        }
        let closed = self.engine.stop();
        if let Err(why) = &closed {
            log::error!("the database was not closed in order: {why}");
        }
        if let Some(admin) = self.admin {
            admin.stop();
        }
        closed.is_ok() && Instant::now() <= deadline
    }
}

fn give_up(engine: Running, why: String) -> StartError {
    if let Err(error) = engine.stop() {
        log::error!("the database was not closed in order: {error}");
    }
    StartError(why)
}
