//! What is known of a server before it is started: its directory under `benches/peers`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::talk::Tongue;

/// Where a server has its door with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tls {
    /// At `{tls}`, beside the plain one.
    Beside,
    None,
    /// At `{port}`, where `{mode}` is `self-signed` and not `off`.
    Instead,
}

/// `peer.toml`. In `arguments`, `environment` and the files beside it, `{…}` stands for what is
/// known only at the start: see [`Peer::fill`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// The directory's name, by which the peer is asked for.
    #[serde(skip)]
    pub(crate) name: String,
    #[serde(skip)]
    dir: PathBuf,
    /// The head of its column.
    pub(crate) title: String,
    /// Which client speaks with it.
    tongue: String,
    /// Debian's package; absent for the server whose repository this is.
    pub(crate) package: Option<String>,
    /// Another way to run a server that has a directory of its own: `--quick` only looks whether it
    /// starts and passes messages on.
    #[serde(default)]
    pub(crate) variant: bool,
    /// Takes seconds to start: `--quick` has few rows of it.
    #[serde(default)]
    pub(crate) slow: bool,
    /// Further packages that this configuration needs.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// Looked for in `PATH` and in the directories of system programs; without a package `msimd`
    /// or `load`, which is this program.
    program: String,
    arguments: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Files to fill in and to put into the server's own directory.
    #[serde(default)]
    files: Vec<String>,
    /// What is on the disk before a message is acknowledged or delivered, in a few words.
    pub(crate) synced: String,
    /// How passwords are kept.
    pub(crate) hash: String,
    /// What a reader has to know before comparing.
    #[serde(default)]
    pub(crate) note: String,
    pub(crate) tls: Tls,
}

impl Peer {
    /// All peers of a directory, by name, but those that come with this repository first.
    pub(crate) fn all(parent: &Path) -> Result<Vec<Peer>, String> {
        let entries = fs::read_dir(parent)
            .map_err(|e| format!("cannot read the peers in {}: {e}", parent.display()))?;
        let mut peers = Vec::new();
        for entry in entries.flatten() {
            if entry.path().join("peer.toml").exists() {
                peers.push(Peer::read(&entry.path())?);
            }
        }
        peers.sort_by_key(|peer| (peer.package.is_some(), peer.name != "msimd", peer.name.clone()));
        Ok(peers)
    }

    fn read(dir: &Path) -> Result<Peer, String> {
        let place = dir.join("peer.toml");
        let bad = |e: &dyn std::fmt::Display| format!("{}: {e}", place.display());
        let text = fs::read_to_string(&place).map_err(|e| bad(&e))?;
        let mut peer: Peer = basic_toml::from_str(&text).map_err(|e| bad(&e))?;
        Tongue::named(&peer.tongue).map_err(|e| bad(&e))?;
        peer.name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        peer.dir = dir.to_owned();
        Ok(peer)
    }

    pub(crate) fn tongue(&self) -> Result<Tongue, String> {
        Tongue::named(&self.tongue)
    }

    /// Whether it is no server but this program itself.
    pub(crate) fn is_bare(&self) -> bool {
        self.program == "load"
    }

    /// Where its program lies; an error that says what is missing where it is not installed.
    pub(crate) fn program(&self, own: &Path) -> Result<PathBuf, String> {
        let Some(package) = &self.package else {
            return match self.is_bare() {
                true => std::env::current_exe().map_err(|e| format!("cannot find myself: {e}")),
                false => Ok(own.to_owned()),
            };
        };
        for package in &self.also {
            if !crate::rows::size::is_installed(package) {
                return Err(format!("the package {package} is not installed"));
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        places
            .map(|place: PathBuf| place.join(&self.program))
            .find(|place| place.exists())
            .ok_or_else(|| format!("the package {package} is not installed"))
    }

    /// Writes its configuration into `dir`.
    pub(crate) fn prepare(&self, dir: &Path, words: &[(&str, String)]) -> Result<(), String> {
        for name in &self.files {
            let from = self.dir.join(name);
            let text = fs::read_to_string(&from)
                .map_err(|e| format!("cannot read {}: {e}", from.display()))?;
            fs::write(dir.join(name), Peer::fill(&text, words))
                .map_err(|e| format!("cannot write {name}: {e}"))?;
        }
        Ok(())
    }

    pub(crate) fn arguments(&self, words: &[(&str, String)]) -> Vec<String> {
        self.arguments.iter().map(|argument| Peer::fill(argument, words)).collect()
    }

    pub(crate) fn environment(&self, words: &[(&str, String)]) -> Vec<(String, String)> {
        let fill = |(name, value): (&String, &String)| (name.clone(), Peer::fill(value, words));
        self.environment.iter().map(fill).collect()
    }

    /// Puts values into their places: `{dir}` the server's own directory, `{port}` and `{tls}` its
    /// doors, `{other}` one more free port, `{mode}` whether there is TLS at `{port}`, `{cert}`
    /// and `{key}` a certificate's files, `{user}` and `{group}` whoever runs this.
    fn fill(text: &str, words: &[(&str, String)]) -> String {
        words.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_beside_this_program_is_well_described() {
        let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let peers = Peer::all(&parent).unwrap();
        assert_eq!(peers[0].name, "msimd");
        let words = [("dir", "/d".into()), ("port", "1".into())];
        for peer in peers {
            let dir = tempfile::tempdir().unwrap();
            peer.prepare(dir.path(), &words).unwrap();
            assert!(!peer.title.is_empty() && !peer.synced.is_empty() && !peer.hash.is_empty());
        }
    }

    #[test]
    fn words_are_put_into_their_places() {
        let words = [("dir", "/a".to_string()), ("port", "5".to_string())];
        assert_eq!(Peer::fill("{dir}/x:{port} {else}", &words), "/a/x:5 {else}");
    }
}
