//! Taking a backup apart, and refusing one that is not whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use ring::digest::{Context, SHA256};
use serde_json::Value;
use tar::{Archive, EntryType};

use super::{FORMAT, MANIFEST, SUMS};
use crate::limits::{BACKUP_MANIFEST_BYTES_MAX, BACKUP_SUMS_BYTES_MAX};

/// What a backup says of itself.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub version: String,
    pub server_name: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether the keys came along.
    pub keys: bool,
}

/// Whether a file begins as a tar does. Anything else can only be a database, as earlier versions
/// wrote them.
pub fn is_archive(file: &Path) -> io::Result<bool> {
    const MAGIC_AT: u64 = 257;
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(MAGIC_AT))?;
    let mut magic = Vec::new();
    file.take(5).read_to_end(&mut magic)?;
    Ok(magic == b"ustar")
}

/// Reads all of a backup and puts those of its files that are wanted into a directory, each its
/// owner's alone and synced. Whatever is wrong with any file is an error, wanted or not, and then
/// the directory is worth nothing. The error is the end of a sentence about the backup.
pub fn unpack(file: &Path, into: &Path, want: impl Fn(&str) -> bool) -> Result<Manifest, String> {
    let broken = |e: io::Error| format!("is damaged or cut short: {e}");
    let mut archive = Archive::new(File::open(file).map_err(|e| format!("cannot be read: {e}"))?);
    let mut manifest = None;
    let mut found = BTreeMap::new();
    let mut sums = None;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_str().map(ToOwned::to_owned);
        let name = name.filter(|name| is_plain(name)).filter(|_| {
            matches!(entry.header().entry_type(), EntryType::Regular) && sums.is_none()
        });
        let Some(name) = name else {
            return Err(
                "is no backup of msimd: there is something in it that is never there".into()
            );
        };
        match &manifest {
            None if name == MANIFEST => {
                let text = small(&mut entry, BACKUP_MANIFEST_BYTES_MAX).map_err(broken)?;
                manifest = Some(read_manifest(&text)?);
                found.insert(name, sum_of(text.as_bytes()));
            }
            None => return Err("is no backup of msimd".into()),
            Some(_) if name == SUMS => {
                sums = Some(small(&mut entry, BACKUP_SUMS_BYTES_MAX).map_err(broken)?);
            }
            Some(_) => {
                let target = want(&name).then(|| into.join(&name));
                let sum = copy(&mut entry, target.as_deref()).map_err(|e| match target {
                    Some(_) => format!("cannot be unpacked: {name}: {e}"),
                    None => broken(e),
                })?;
                if found.insert(name.clone(), sum).is_some() {
                    return Err(format!("is damaged: it has {name} twice"));
                }
            }
        }
    }
    let manifest = manifest.ok_or("is no backup of msimd")?;
    let sums = sums.ok_or("was cut short: its sums are missing")?;
    compare(&found, &sums)?;
    Ok(manifest)
}

/// A relative path of plain names.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !name.ends_with('/')
}

fn small(entry: &mut impl Read, most: u64) -> io::Result<String> {
    let mut text = String::new();
    entry.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other("its first or last file is too long"));
    }
    Ok(text)
}

fn read_manifest(text: &str) -> Result<Manifest, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|e| format!("is damaged: {MANIFEST}: {e}"))?;
    let format = value["format"].as_u64().unwrap_or_default();
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    if format != FORMAT {
        return Err(format!(
            "has format {format}, written by msimd {}, and this one knows {FORMAT}; use a newer one",
            text("version")
        ));
    }
    Ok(Manifest {
        version: text("version"),
        server_name: text("server_name"),
        created: value["created"].as_u64().unwrap_or_default(),
        keys: value["keys"] == true,
    })
}

/// Copies to a file, or to nowhere.
fn copy(entry: &mut impl Read, target: Option<&Path>) -> io::Result<String> {
    let mut file = match target {
        Some(path) => {
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            Some(File::options().write(true).create_new(true).mode(0o600).open(path)?)
        }
        None => None,
    };
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = match entry.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..n]);
        if let Some(file) = &mut file {
            file.write_all(&buffer[..n])?;
        }
    }
    if let Some(file) = file {
        file.sync_all()?;
    }
    Ok(hex(hash))
}

fn compare(found: &BTreeMap<String, String>, sums: &str) -> Result<(), String> {
    let mut named = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").ok_or("is damaged: its sums cannot be read")?;
        match found.get(name) {
            Some(own) if own == sum => named += 1,
            Some(_) => return Err(format!("is damaged: {name} is not what was written")),
            None => return Err(format!("is damaged: {name} is missing")),
        }
    }
    if named != found.len() {
        return Err("is damaged: it has files without sums".into());
    }
    Ok(())
}

fn sum_of(bytes: &[u8]) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(bytes);
    hex(hash)
}

pub(super) fn hex(hash: Context) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash.finish().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
