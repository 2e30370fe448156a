//! What the server can read back: sealing and opening passwords that answer challenges.
//!
//! Sealed means ChaCha20-Poly1305 under one key, with a random nonce in front, bound to account and
//! name so that no record can be put in the place of another. The key is `secrets.key` beside the
//! database, 32 random bytes that only the server's user may read, made when it is first needed. It
//! is no part of the database: a copy of that alone answers no challenge. Backups hold it beside the
//! database, unless they are made without keys.
//!
//! A server whose database lies in memory keeps its key there, too.

mod key;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::aead::NONCE_LEN;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::domain::id::spelled;
use crate::domain::words::{Digest, Envelope, KeyId};

use key::KEY_BYTES;
pub(super) use key::Key;

/// The key's file in its directory.
pub const FILE: &str = "secrets.key";
/// Random bytes of an app password, five bits of each.
const APP_PASSWORD_BYTES: usize = 24;

/// Holds the key, once there is one.
#[derive(Debug)]
pub struct Vault {
    /// `None`: in memory.
    file: Option<PathBuf>,
    state: RwLock<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// There is no file.
    Without,
    /// `shown`: others may read the file.
    Open { key: Arc<Key>, shown: bool },
    /// There is a file, and what is wrong with it.
    Unfit(String),
}

/// A new app password: what its owner is told once, and what is kept.
#[derive(Debug)]
pub struct AppPassword {
    pub text: Shown,
    pub digest: Digest,
    pub envelope: Envelope,
}

/// Text that is a secret, overwritten when it is dropped.
pub struct Shown(Zeroizing<String>);

impl Shown {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl Vault {
    /// The vault of a database in this directory, or in memory.
    pub fn of(directory: Option<&Path>) -> Vault {
        let file = directory.map(|directory| directory.join(FILE));
        let vault = Vault { file, state: RwLock::new(State::Without) };
        vault.look();
        vault
    }

    /// Looks for a key file that was put there meanwhile, unless there is a good one already.
    pub fn look(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let (Some(file), State::Without | State::Unfit(_)) = (&self.file, &*state) {
            *state = read(file);
        }
    }

    /// The present key's name.
    pub fn key_id(&self) -> Option<KeyId> {
        self.key().map(|key| key.id)
    }

    pub(super) fn key(&self) -> Option<Arc<Key>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open { key, .. } => Some(key.clone()),
            State::Without | State::Unfit(_) => None,
        }
    }

    /// Prepares a password for being kept; makes the key if there is none yet. A file that is no
    /// key is never written over. The error is a sentence for the operator.
    pub fn enclose(&self, password: Zeroizing<Vec<u8>>) -> Result<Envelope, String> {
        let key = self.key_or_new()?;
        let nonce: [u8; NONCE_LEN] = random()?;
        Ok(Envelope::new(move |account, name| key.seal(nonce, account, name, &password)))
    }

    pub fn new_app_password(&self) -> Result<AppPassword, String> {
        let chance = Zeroizing::new(random::<APP_PASSWORD_BYTES>()?);
        let text = Zeroizing::new(spelled(&*chance));
        let digest = digest_of(text.as_bytes());
        let envelope = self.enclose(Zeroizing::new(text.as_bytes().to_vec()))?;
        Ok(AppPassword { text: Shown(text), digest, envelope })
    }

    /// How it stands with the key, in words; `kept` secrets are in the database, `fitting` of them
    /// sealed under this key.
    pub fn describe(&self, kept: u64, fitting: u64) -> String {
        let file = self.file.as_deref().map_or("(memory)".into(), Path::to_string_lossy);
        let lost = format!(
            "so {} of {kept} sealed passwords cannot be read and no challenge for them is \
             answered; put the key file of this database there and reload the server, or make new \
             app passwords",
            kept - fitting.min(kept)
        );
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Without if kept == 0 => "not made yet: nothing is sealed".into(),
            State::Without => format!("{file} is missing, {lost}"),
            State::Unfit(why) if kept == 0 => format!("{file} cannot be used: {why}"),
            State::Unfit(why) => format!("{file} cannot be used: {why}, {lost}"),
            State::Open { .. } if fitting < kept => {
                format!("{file} is not the key that everything was sealed under, {lost}")
            }
            State::Open { shown: true, .. } => {
                format!("{file} can be read by other users; chmod 600 it")
            }
            State::Open { shown: false, .. } => "good".into(),
        }
    }

    /// [`Vault::describe`], where that is something the operator should hear of.
    pub fn trouble(&self, kept: u64, fitting: u64) -> Option<String> {
        let is_good = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Without => kept == 0,
            State::Open { shown, .. } => !shown && fitting >= kept,
            State::Unfit(_) => false,
        };
        (!is_good).then(|| self.describe(kept, fitting))
    }

    fn key_or_new(&self) -> Result<Arc<Key>, String> {
        if let Some(key) = self.key() {
            return Ok(key);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file {
            *state = read(file);
        }
        match &*state {
            State::Open { key, .. } => return Ok(key.clone()),
            State::Unfit(why) => return Err(why.clone()),
            State::Without => {}
        }
        let bytes = Zeroizing::new(random::<KEY_BYTES>()?);
        if let Some(file) = &self.file {
            write(file, &bytes).map_err(|e| format!("{} cannot be made: {e}", file.display()))?;
            log::info!("made {}: a copy of the database needs it beside it", file.display());
        }
        let key = Arc::new(Key::new(&bytes));
        *state = State::Open { key: key.clone(), shown: false };
        Ok(key)
    }
}

pub(super) fn digest_of(text: &[u8]) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text).as_ref());
    Digest(bytes)
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "the system has no random bytes".to_owned())?;
    Ok(bytes)
}

fn read(path: &Path) -> State {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return State::Without,
        Err(error) => return State::Unfit(error.to_string()),
    };
    let shown = match file.metadata() {
        Ok(metadata) => metadata.permissions().mode() & 0o077 != 0,
        Err(error) => return State::Unfit(error.to_string()),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    if let Err(error) = file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes) {
        return State::Unfit(error.to_string());
    }
    match <&[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
        Ok(bytes) => State::Open { key: Arc::new(Key::new(bytes)), shown },
        Err(_) => State::Unfit(format!("a key has {KEY_BYTES} bytes")),
    }
}

/// Whole under its name, or not there at all; durable before anything is sealed under it. Whoever
/// holds the database is the only one who makes it.
fn write(path: &Path, bytes: &[u8; KEY_BYTES]) -> io::Result<()> {
    let temporary = path.with_extension("key.tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountNo;
    use crate::domain::words::Sealed;

    fn sealed(vault: &Vault, account: u32, name: &str, password: &[u8]) -> Sealed {
        let envelope = vault.enclose(Zeroizing::new(password.to_vec())).unwrap();
        envelope.seal(AccountNo(account), name)
    }

    fn opened(vault: &Vault, account: u32, name: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        let text = vault.key()?.open(AccountNo(account), name, sealed)?;
        Some(text.to_vec())
    }

    #[test]
    fn the_key_file_is_made_when_it_is_needed_and_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        let vault = Vault::of(Some(home.path()));
        assert!(!file.exists() && vault.key_id().is_none());
        assert_eq!(vault.trouble(0, 0), None);
        let kept = sealed(&vault, 1, "", b"secret");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&file).unwrap().len(), KEY_BYTES);
        assert!(!home.path().join("secrets.key.tmp").exists());
        let again = Vault::of(Some(home.path()));
        assert_eq!(again.key_id(), Some(kept.key));
        assert_eq!(opened(&again, 1, "", &kept), Some(b"secret".to_vec()));
        assert_eq!(again.describe(1, 1), "good");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let shown = Vault::of(Some(home.path())).trouble(1, 1).unwrap();
        assert!(shown.contains("can be read by other users"), "{shown}");
    }

    #[test]
    fn a_missing_or_wrong_key_is_said_plainly() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        let vault = Vault::of(Some(home.path()));
        let missing = vault.trouble(3, 0).unwrap();
        assert!(missing.contains("secrets.key is missing, so 3 of 3"), "{missing}");
        // A file that is no key is left as it is.
        fs::write(&file, b"something else").unwrap();
        vault.look();
        let unfit = vault.trouble(3, 0).unwrap();
        assert!(unfit.contains("a key has 32 bytes, so 3 of 3"), "{unfit}");
        assert!(vault.new_app_password().is_err());
        assert_eq!(fs::read(&file).unwrap(), b"something else");
        // It is put in its place while the server runs.
        fs::write(&file, [7; KEY_BYTES]).unwrap();
        vault.look();
        let wrong = vault.trouble(3, 1).unwrap();
        assert!(wrong.contains("not the key that everything was sealed under"), "{wrong}");
        assert!(wrong.contains("2 of 3"), "{wrong}");
    }

    #[test]
    fn nothing_that_is_printed_holds_a_secret() {
        let vault = Vault::of(None);
        let new = vault.new_app_password().unwrap();
        let text = new.text.as_str().to_owned();
        assert_eq!(text.len(), 29, "{text}");
        assert_ne!(vault.new_app_password().unwrap().text.as_str(), text);
        let printed = format!("{new:?} {vault:?}");
        assert!(!printed.contains(&text) && printed.contains("(..)"), "{printed}");
    }
}
