//! Making a backup while the server goes on.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde_json::json;
use tar::{Builder, Header};

use super::{CONFIG, DATABASE, FILES, FORMAT, KEYS, MANIFEST, SUMS, TLS};
use crate::admin::when;
use crate::config::{Config, TlsMode};
use crate::store::{Reader, Verdict};

/// What goes into a backup beside the database.
#[derive(Clone, Debug)]
pub struct Contents {
    pub server_name: String,
    pub data_dir: PathBuf,
    /// The configuration's file, where there is one.
    pub config: Option<PathBuf>,
    /// A certificate of the operator's own and its key.
    pub tls: Option<[PathBuf; 2]>,
    /// Whether the keys come along. Without them nobody who finds the file can pass for the server
    /// or read back a sealed password.
    pub keys: bool,
    /// Seconds since 1970.
    pub now: u64,
}

impl Contents {
    /// Everything of the server with this configuration.
    pub fn of(config: &Config, keys: bool) -> Contents {
        let Config { tls, .. } = config;
        let own = tls.mode == TlsMode::Files;
        Contents {
            server_name: config.server_name.clone(),
            data_dir: config.data_dir.clone(),
            config: config.source.clone(),
            tls: own.then(|| [tls.cert.clone(), tls.key.clone()]),
            keys,
            now: when::now(),
        }
    }
}

/// Writes a backup to `path`, which must not exist: under another name until it is whole and
/// synced. Beside it lies the copy of the database meanwhile, so that it takes twice the room for a
/// moment. The error is a sentence.
pub fn write(
    reader: &Reader,
    path: &Path,
    contents: &Contents,
    progress: &mut dyn FnMut(u64),
) -> Result<Verdict, String> {
    let (copy, draft) = (beside(path, ".redb.tmp"), beside(path, ".tmp"));
    for left_by_one_that_was_cut_short in [&copy, &draft] {
        let _ = fs::remove_file(left_by_one_that_was_cut_short);
    }
    let written = reader.backup(&copy, progress).map_err(|e| e.to_string()).and_then(|verdict| {
        pack(&copy, &draft, contents, &verdict)
            .and_then(|()| put_in_place(&draft, path))
            .map_err(|e| format!("{} cannot be written: {e}{}", path.display(), advice(&e)))?;
        Ok(verdict)
    });
    let _ = fs::remove_file(&copy);
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a place where the server's user may write"
        }
        io::ErrorKind::StorageFull => "; choose a disk with twice the database's room",
        _ => "",
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(end);
    name.into()
}

fn put_in_place(draft: &Path, path: &Path) -> io::Result<()> {
    fs::rename(draft, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn pack(copy: &Path, draft: &Path, contents: &Contents, verdict: &Verdict) -> io::Result<()> {
    // It holds keys: its owner's alone from the first byte on.
    let file = File::options().write(true).create_new(true).mode(0o600).open(draft)?;
    let mut pack = Pack { tar: Builder::new(file), sums: String::new(), now: contents.now };
    let manifest = json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "created": contents.now,
        "server_name": contents.server_name,
        "keys": contents.keys,
        "accounts": verdict.accounts,
        "messages": verdict.messages,
    });
    pack.bytes(MANIFEST, manifest.to_string().as_bytes())?;
    pack.file(DATABASE, copy)?;
    // After the database, and what is gone by then is gone for everybody there is.
    pack.tree(FILES, &contents.data_dir.join(FILES))?;
    if contents.keys {
        for name in KEYS {
            pack.file_if_there(name, &contents.data_dir.join(name))?;
        }
        for (name, path) in TLS.iter().zip(contents.tls.iter().flatten()) {
            pack.file_if_there(name, path)?;
        }
    }
    if let Some(config) = &contents.config {
        pack.file_if_there(CONFIG, config)?;
    }
    let sums = std::mem::take(&mut pack.sums);
    pack.bytes(SUMS, sums.as_bytes())?;
    let file = pack.tar.into_inner()?;
    file.sync_all()
}

struct Pack {
    tar: Builder<File>,
    sums: String,
    now: u64,
}

impl Pack {
    fn entry(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.now);
        let mut hashing =
            Hashing { inner: content.take(size), hash: Context::new(&SHA256), left: size };
        self.tar.append_data(&mut header, name, &mut hashing)?;
        if hashing.left > 0 {
            let why = format!("{name} became shorter while it was read; try again");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let _ = writeln!(self.sums, "{}  {name}", super::read::hex(hashing.hash));
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.entry(name, bytes.len() as u64, bytes)
    }

    fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        self.entry(name, size, file)
    }

    fn file_if_there(&mut self, name: &str, path: &Path) -> io::Result<()> {
        match self.file(name, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
        }
    }

    /// The plain files of a directory and of those in it, in order of their names.
    fn tree(&mut self, name: &str, directory: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let leaf = entry.file_name().into_string();
            // A line of the sums holds it.
            let leaf = leaf.ok().filter(|leaf| !leaf.contains(['\n', '\\']));
            let odd = || io::Error::other(format!("{:?} has an odd name", entry.path()));
            let leaf = leaf.ok_or_else(odd)?;
            found.push((leaf, entry.file_type()?));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (leaf, kind) in found {
            let (name, path) = (format!("{name}/{leaf}"), directory.join(&leaf));
            if kind.is_dir() {
                self.tree(&name, &path)?;
            } else if kind.is_file() && !leaf.ends_with(".tmp") {
                self.file_if_there(&name, &path)?;
            }
        }
        Ok(())
    }
}

/// Passes on what it reads, and knows its sum.
struct Hashing<R> {
    inner: io::Take<R>,
    hash: Context,
    left: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.hash.update(&out[..n]);
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}
