//! A backup: everything that a server needs, in one tar file.
//!
//! ```text
//! msimd-backup.json   what it is: format, version, time, server name
//! msimd.redb          the database, compacted, every record checked
//! secrets.key, cert.pem, key.pem, files/…, tls/…, msimd.toml
//! SHA256SUMS          last: one line a file, as sha256sum(1) writes and checks them
//! ```
//!
//! - It is a plain tar of plain files, so that `tar xf` and `sha256sum -c` open it where there is
//!   no msimd, on any machine: nothing in it depends on the CPU.
//! - **`SHA256SUMS` is its end.** One without it was cut short; one that names other files than there
//!   are, or other sums, is damaged. Either is refused before anything is touched.
//! - Names are paths below the data directory. What lies elsewhere (the configuration, a certificate
//!   of the operator's own) has a place there for when it comes back.

mod read;
mod write;

pub use read::{Manifest, is_archive, unpack};
pub use write::{Contents, write};

/// The first file of every backup.
const MANIFEST: &str = "msimd-backup.json";
/// The last one.
const SUMS: &str = "SHA256SUMS";
/// Raised when an earlier msimd could not restore one; a further file is no new format.
const FORMAT: u64 = 1;
/// The database, also in the data directory.
pub const DATABASE: &str = "msimd.redb";
/// The configuration, wherever it lies.
pub const CONFIG: &str = "msimd.toml";
/// Secrets of the data directory, and what is worth nothing without them. Whoever puts a further
/// file into the data directory that is not made anew by itself names it here.
const KEYS: [&str; 3] = ["secrets.key", "cert.pem", "key.pem"];
/// What people have sent each other, below the data directory.
const FILES: &str = "files";
/// Where a certificate of the operator's own goes.
const TLS: [&str; 2] = ["tls/cert.pem", "tls/key.pem"];

#[cfg(test)]
mod tests;
