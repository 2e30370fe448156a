//! Passwords and what stands for them: nothing here shows itself in a log.

use crate::domain::id::AccountNo;

/// A password's hash with its parameters and salt, as it is stored (PHC string form).
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(pub Box<str>);

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The SHA-256 of an app password. Enough for one: with 120 random bits nobody finds it by trying,
/// however fast that goes, while slow hashes are for passwords that people think of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Which key something was sealed under. Tells nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(pub u32);

/// A password as only the holder of a key can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key: KeyId,
    pub bytes: Box<[u8]>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({:?}, ..)", self.key)
    }
}

/// A password on its way to being sealed. What is sealed is bound to its account and its name, and
/// the rules are the first to know these.
pub struct Envelope(Seal);

type Seal = Box<dyn FnOnce(AccountNo, &str) -> Sealed + Send + Sync>;

impl Envelope {
    pub fn new(seal: impl FnOnce(AccountNo, &str) -> Sealed + Send + Sync + 'static) -> Envelope {
        Envelope(Box::new(seal))
    }

    /// Once only: sealing takes random bytes that must not serve twice.
    pub fn seal(self, account: AccountNo, name: &str) -> Sealed {
        (self.0)(account, name)
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope(..)")
    }
}

/// That somebody's password was checked just now. Only `engine::auth` can make one.
#[derive(Clone, Debug)]
pub struct Proof {
    pub(in crate::domain) account: AccountNo,
    pub(in crate::domain) kind: SessionKind,
    /// The app password that it was.
    pub(in crate::domain) app: Option<Box<str>>,
    /// What the password matched, where it was the account's own.
    pub(in crate::domain) verifier: Option<Verifier>,
}

impl Proof {
    /// For `engine::auth`, after a verifier has matched, and for tests of the rules.
    pub(crate) fn of(account: AccountNo, kind: SessionKind) -> Proof {
        Proof { account, kind, app: None, verifier: None }
    }

    /// The same for a password that matched this verifier: it counts only while it is the account's.
    pub(crate) fn by(account: AccountNo, verifier: Verifier) -> Proof {
        Proof { verifier: Some(verifier), ..Proof::of(account, SessionKind::Person) }
    }

    /// The same for the app password of this name.
    pub(crate) fn of_app(account: AccountNo, name: Box<str>) -> Proof {
        Proof { account, kind: SessionKind::Application, app: Some(name), verifier: None }
    }

    pub fn account(&self) -> AccountNo {
        self.account
    }
}

/// The three levels of authorization (seed 000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionKind {
    #[default]
    Person = 0,
    Application = 1,
    Server = 2,
}
