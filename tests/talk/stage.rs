//! A server for a talk: its configuration, its directory, its doors, its restarts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use msimd::config::Config;
use msimd::engine::clock::Clock;
use msimd::server::Server;
use msimd::store::{Place, Reader};
use tempfile::TempDir;

/// Keys of the configuration as they stand in msimd.toml (`limits.mailbox`) with their values.
pub type Keys = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Stage {
    server: Option<Server>,
    place: Place,
    pub directory: TempDir,
    pub keys: Keys,
    /// The management socket.
    pub socket: PathBuf,
    crashes: u32,
    pub clock: Clock,
}

impl Stage {
    /// Nothing runs yet: see [`Stage::start`].
    pub fn new(on_disk: bool) -> Stage {
        let directory = tempfile::tempdir().expect("a directory for a test");
        let place =
            if on_disk { Place::Directory(directory.path().join("data")) } else { Place::Memory };
        let mut keys = Keys::new();
        let path = |name: &str| format!("{:?}", directory.path().join(name));
        for (key, value) in [
            ("server_name", r#""im.test""#.to_owned()),
            ("threads", "1".to_owned()),
            ("data_dir", path("data")),
            ("listen.tcp", r#""127.0.0.1:0""#.to_owned()),
            ("listen.http", r#""127.0.0.1:0""#.to_owned()),
            ("listen.line", r#""127.0.0.1:0""#.to_owned()),
            ("listen.tags", r#""127.0.0.1:0""#.to_owned()),
            ("listen.files", r#""""#.to_owned()),
            ("limits.rate", r#""off""#.to_owned()),
            ("limits.login_delay", r#""off""#.to_owned()),
            ("limits.free_space", "0".to_owned()),
            ("password.memory_kib", "64".to_owned()),
            ("password.passes", "1".to_owned()),
            ("admin.socket", path("admin.sock")),
        ] {
            keys.insert(key.into(), value);
        }
        let socket = directory.path().join("admin.sock");
        Stage { server: None, place, directory, keys, socket, crashes: 0, clock: Clock::system() }
    }

    /// A server that stands at `place`, everything else as tests have it.
    pub fn at(place: Place) -> Stage {
        Stage { place, ..Stage::new(false) }
    }

    pub fn set(&mut self, key: &str, value: &str) -> &mut Stage {
        self.keys.insert(key.into(), value.into());
        self
    }

    /// The keys as a file would have them.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        // Keys without a table come first in a file.
        let (plain, tabled): (Vec<_>, Vec<_>) =
            self.keys.iter().partition(|(key, _)| !key.contains('.'));
        for (key, value) in plain.into_iter().chain(tabled) {
            let (of, name) = key.split_once('.').unwrap_or(("", key));
            if of != table {
                table = of;
                let _ = writeln!(text, "[{table}]");
            }
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }

    pub fn start(&mut self) -> Result<(), String> {
        let text = self.toml();
        let config: Config = basic_toml::from_str(&text).map_err(|e| format!("{e} in\n{text}"))?;
        std::fs::create_dir_all(&config.data_dir).map_err(|e| e.to_string())?;
        let server = Server::start_by(config, self.place.clone(), self.clock.clone())
            .map_err(|e| e.to_string())?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends the server in order.
    pub fn stop(&mut self) -> Result<(), String> {
        match self.server.take().map(Server::stop) {
            Some(false) => Err("the server did not stop in order".into()),
            Some(true) | None => Ok(()),
        }
    }

    /// Leaves it as a crash would: the next server finds the file as it lies there now. The old one
    /// still holds the file itself, as only the end of a process makes it let go.
    pub fn crash(&mut self) -> Result<(), String> {
        self.crashes += 1;
        let data = self.directory.path().join(format!("data{}", self.crashes));
        if let Place::Directory(old) = &self.place {
            let failed = |e: std::io::Error| format!("no copy of {}: {e}", old.display());
            std::fs::create_dir(&data).map_err(failed)?;
            std::fs::copy(old.join("msimd.redb"), data.join("msimd.redb")).map_err(failed)?;
            // Made with the first password that is sealed.
            if old.join("secrets.key").exists() {
                std::fs::copy(old.join("secrets.key"), data.join("secrets.key")).map_err(failed)?;
            }
            self.place = Place::Directory(data.clone());
        }
        let socket = self.directory.path().join(format!("admin{}.sock", self.crashes));
        self.set("data_dir", &format!("{data:?}")).set("admin.socket", &format!("{socket:?}"));
        self.socket = socket;
        drop(self.server.take());
        Ok(())
    }

    /// Whether it admits to have failed for good.
    pub fn fails_within(&self, time: Duration) -> bool {
        let Some(server) = &self.server else { return false };
        let failed = server.failed();
        let told = async { failed.recv().await.is_err() };
        let late = async {
            smol::Timer::after(time).await;
            false
        };
        smol::block_on(smol::future::or(told, late))
    }

    /// What lies on the disk of a running server.
    pub fn reader(&self) -> &Reader {
        self.server.as_ref().map(|s| s.exchange().reader()).expect("a running server")
    }

    pub fn tcp(&self) -> SocketAddr {
        self.server.as_ref().and_then(|s| s.doors().tcp).expect("the TCP door of a running server")
    }

    pub fn line(&self) -> SocketAddr {
        self.server
            .as_ref()
            .and_then(|s| s.doors().line)
            .expect("the line door of a running server")
    }

    pub fn tags(&self) -> SocketAddr {
        self.server
            .as_ref()
            .and_then(|s| s.doors().tags)
            .expect("the tags door of a running server")
    }

    pub fn http(&self) -> SocketAddr {
        self.server
            .as_ref()
            .and_then(|s| s.doors().http)
            .expect("the HTTP door of a running server")
    }
}

/// A server in memory with these keys beside the usual ones.
pub fn serve(keys: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(false);
    for (key, value) in keys {
        stage.set(key, value);
    }
    stage.start().expect("a server in memory starts");
    stage
}
