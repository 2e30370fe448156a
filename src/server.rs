//! The whole server, assembled: store, engine, carriers, management. What `msimd serve` runs and
//! what tests start on free ports.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admin::logbook::Diary;
use crate::admin::{Admin, Office, trouble, when};
use crate::config::Config;
use crate::engine::clock::Clock;
use crate::engine::{self, Exchange, Running};
use crate::limits::DRAIN_SECS;
use crate::metrics::Metrics;
use crate::net::{Net, Tls};
use crate::sample;
use crate::store::{Options, Place, Reader, Store};
use crate::wire::House;

/// A running server. End it with [`Server::stop`]: dropping it leaves the engine's thread, and with
/// it the database's lock, to the end of the process.
#[derive(Debug)]
pub struct Server {
    doors: Doors,
    net: Net,
    admin: Option<Admin>,
    exchange: Exchange,
    engine: Running,
    /// Where the database lies in a directory.
    diary: Option<Diary>,
}

/// Where its doors are, once they are open; `None` for those turned off.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    pub tcp: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub line: Option<SocketAddr>,
    pub tags: Option<SocketAddr>,
    /// A second HTTP door.
    pub tinode: Option<SocketAddr>,
    /// The pin of the certificate (`end-cert=` of an address) when TLS is on.
    pub pin: Option<String>,
}

impl Doors {
    /// Where they will be when a server starts with this configuration, for addresses that are
    /// given away while none runs. Makes the key pair where that start would make it.
    pub fn resting(config: &Config) -> Result<Doors, String> {
        let door = |text: &str| text.parse().ok().filter(|door: &SocketAddr| door.port() != 0);
        let listen = &config.listen;
        Ok(Doors {
            tcp: door(&listen.tcp),
            http: door(&listen.http),
            line: door(&listen.line),
            tags: door(&listen.tags),
            tinode: door(&listen.tinode),
            pin: Tls::start(config)?.map(|tls| tls.pin()),
        })
    }
}

/// Whether a server with this configuration speaks TLS.
pub fn is_encrypted(config: &Config) -> bool {
    Tls::is_wanted(config)
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
        Server::start_with(config, place, Clock::system(), |_, _| Ok(()))
    }

    /// The same by another clock.
    pub fn start_by(config: Config, place: Place, clock: Clock) -> Result<Server, StartError> {
        Server::start_with(config, place, clock, |_, _| Ok(()))
    }

    /// The same, with the sample data in it before anybody comes in. See [`sample`].
    pub fn start_filled(config: Config, place: Place) -> Result<Server, StartError> {
        Server::start_with(config, place, Clock::system(), sample::fill)
    }

    fn start_with(
        config: Config,
        place: Place,
        clock: Clock,
        fill: impl FnOnce(&Exchange, &Config) -> Result<(), String>,
    ) -> Result<Server, StartError> {
        let fail = |why: String| StartError(why);
        let budget = config.budget().map_err(|error| fail(error.to_string()))?;
        let options =
            Options { cache_bytes: budget.cache as usize, free_space: config.limits.free_space };
        let directory = match &place {
            Place::Directory(directory) => Some(directory.clone()),
            Place::File(_) | Place::Memory | Place::Backend(_) => None,
        };
        if let Some(why) = directory.as_deref().and_then(trouble::waiting) {
            return Err(fail(why));
        }
        let store = Store::open(place, options).map_err(|error| {
            fail(match &directory {
                Some(directory) => trouble::refuse(directory, &error, &when::stamp(when::now())),
                None => trouble::sentence(&error),
            })
        })?;
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::default());
        let reader = store.reader();
        let mail = budget.mail as usize;
        let (exchange, engine) = engine::start(store, config.clone(), metrics.clone(), mail, clock)
            .map_err(|error| fail(format!("the engine's thread did not start: {error}")))?;

        if let Err(why) = fill(&exchange, &config) {
            return Err(give_up(engine, why));
        }
        let house = house(&config);
        let opened = Tls::start(&config)
            .and_then(|tls| Net::start(house, exchange.clone(), tls, metrics.clone()));
        let net = match opened {
            Ok(net) => net,
            Err(why) => return Err(give_up(engine, why)),
        };
        let doors = Doors {
            tcp: net.tcp_address(),
            http: net.http_address(),
            line: net.line_address(),
            tags: net.tags_address(),
            tinode: net.tinode_address(),
            pin: net.pin(),
        };
        let counted = metrics.clone();
        let admin = match manage(&config, &doors, &exchange, reader, metrics, &net) {
            Ok(admin) => admin,
            Err(why) => {
                net.stop(Duration::ZERO);
                return Err(give_up(engine, why));
            }
        };
        let diary = directory.map(|directory| Diary::begin(&directory, counted));
        Ok(Server { doors, net, admin, exchange, engine, diary })
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

    /// Hears something when an operator wants the server to stop; [`Server::stop`] does it.
    pub fn asked_to_stop(&self) -> smol::channel::Receiver<()> {
        self.exchange.stopping()
    }

    /// Whether everything goes on, for the service manager's watchdog; told how long a turn of the
    /// engine, or a wait for it, may last.
    pub fn vital_signs(&self) -> impl FnMut(Duration) -> Result<(), String> + Send + use<> {
        let (exchange, pulse) = (self.exchange.clone(), self.net.pulse());
        move |longest| {
            let lag = exchange.lag();
            if longest < lag {
                return Err(format!("the engine has not gone on for {} s", lag.as_secs()));
            }
            if !pulse.beats(longest) {
                return Err(format!("the carriers have not gone on for {} s", longest.as_secs()));
            }
            Ok(())
        }
    }

    /// Takes over what can change while running (see `Config::reloaded`) and reads the certificate
    /// again. On an error, which is the certificate's, nothing has changed.
    pub fn reload(&self, config: Config) -> Result<(), String> {
        self.net.reload_tls(&config)?;
        let config = Arc::new(config);
        self.exchange.reload(config.clone());
        self.net.reload(house(&config));
        Ok(())
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
        if let (Some(diary), true) = (self.diary, closed.is_ok()) {
            diary.end();
        }
        closed.is_ok() && Instant::now() <= deadline
    }
}

fn house(config: &Arc<Config>) -> Arc<House> {
    Arc::new(House { name: config.server_name.to_ascii_lowercase().into(), config: config.clone() })
}

/// Opens the management socket, unless it is "off".
fn manage(
    config: &Arc<Config>,
    doors: &Doors,
    exchange: &Exchange,
    reader: Reader,
    metrics: Arc<Metrics>,
    net: &Net,
) -> Result<Option<Admin>, String> {
    if !config.has_admin() {
        return Ok(None);
    }
    let pulse = net.pulse();
    let office = Office {
        config: config.clone(),
        doors: doors.clone(),
        exchange: exchange.clone(),
        reader,
        metrics,
        probe: Box::new(move |patience| pulse.beats(patience)),
    };
    Admin::start(config.admin_socket(), config.metrics_address(), office).map(Some)
}

fn give_up(engine: Running, why: String) -> StartError {
    if let Err(error) = engine.stop() {
        log::error!("the database was not closed in order: {error}");
    }
    StartError(why)
}
