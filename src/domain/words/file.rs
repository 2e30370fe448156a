//! Files: where one lies, what is known of it, and where the bytes of one go that is on its way.

use std::fmt;
use std::sync::Arc;

use crate::domain::id::AccountNo;
use crate::domain::words::Refusal;
use crate::limits::FILE_NAME_BYTES_MAX;

/// Where a file lies: with whom it is from, under a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKey {
    pub owner: AccountNo,
    pub id: u64,
}

/// A file that is here as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub key: FileKey,
    pub name: Box<str>,
    pub size: u64,
    pub sha256: [u8; 32],
}

/// Whether a file may be called that: it is a name for a directory of anybody's.
pub fn is_file_name(name: &str) -> bool {
    let is_path = name.contains(['/', '\\']) || matches!(name, "." | "..");
    !name.trim().is_empty()
        && name.len() <= FILE_NAME_BYTES_MAX
        && !is_path
        && !name.contains(char::is_control)
}

/// A file on its way in. The last of its clones that is dropped before it is kept takes everything
/// with it.
#[derive(Clone)]
pub struct Upload(Arc<dyn Spool>);

/// What is behind one. Everything but [`Spool::keep`] may block.
pub trait Spool: Send + Sync {
    /// The next bytes. Whether they were the last.
    fn write(&self, bytes: &[u8]) -> Result<bool, Refusal>;
    /// Puts a whole file in its place, durable. It is still to be kept.
    fn finish(&self, name: &str) -> Result<StoredFile, Refusal>;
    /// A message names it: it stays.
    fn keep(&self);
}

impl Upload {
    pub fn new(spool: impl Spool + 'static) -> Upload {
        Upload(Arc::new(spool))
    }
}

impl std::ops::Deref for Upload {
    type Target = dyn Spool;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}
