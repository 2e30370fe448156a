//! Answering challenges: whether somebody knows a password without it being sent. The client hashes
//! a salt with the password, so the server has to read the password back (see `vault`).
//!
//! **Every attempt takes the same work,** whether the login exists, has one such password or many,
//! or whether the key is there: decoys are opened and hashed in the place of what is missing.

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::domain::id::AccountNo;
use crate::domain::nouns::Secret;
use crate::domain::words::Sealed;
use crate::engine::password::same;
use crate::engine::vault::Key;
use crate::limits::{APP_PASSWORDS_MAX, SALT_BYTES_MAX};

/// App passwords, and the account's own.
const ROUNDS: usize = APP_PASSWORDS_MAX + 1;
const DECOY: &[u8] = b"xxxx-xxxx-xxxx-xxxx-xxxx-xxxx";

#[derive(Debug)]
pub(super) struct Challenger {
    key: Key,
    decoy: Sealed,
}

impl Challenger {
    pub(super) fn new() -> Result<Challenger, String> {
        let key = Key::throwaway()?;
        let decoy = key.seal([0; 12], AccountNo(0), "", DECOY);
        Ok(Challenger { key, decoy })
    }

    /// Which of the secrets makes this hash with this salt.
    pub(super) fn answer<'s>(
        &self,
        key: Option<&Key>,
        account: Option<AccountNo>,
        secrets: &'s [Secret],
        salt: &str,
        hash: &[u8; 32],
    ) -> Option<&'s Secret> {
        let salt_is_good = is_salt(salt);
        let mut found = None;
        for round in 0..ROUNDS {
            let real = account.zip(key).zip(secrets.get(round));
            let real = real.filter(|((_, key), secret)| secret.sealed.key == key.id);
            let opened = match real {
                Some(((account, key), secret)) => key.open(account, &secret.name, &secret.sealed),
                None => self.key.open(AccountNo(0), "", &self.decoy),
            };
            let is_open = opened.is_some();
            let password = opened.unwrap_or_else(|| Zeroizing::new(DECOY.to_vec()));
            let mut expected = Context::new(&SHA256);
            expected.update(salt.as_bytes());
            expected.update(&password);
            let matches = same(expected.finish().as_ref(), hash);
            if matches && is_open && salt_is_good {
                found = real.map(|(_, secret)| secret).or(found);
            }
        }
        found
    }
}

/// Whether it has the form of what `Reply::Challenge` gives.
fn is_salt(text: &str) -> bool {
    let Some((random, number)) = text.split_once('-') else { return false };
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() <= SALT_BYTES_MAX
        && random.len() == 16
        && random.bytes().all(is_hex)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Timestamp;
    use crate::engine::vault::Vault;

    const SALT: &str = "0123456789abcdef-42";

    fn hash(salt: &str, password: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(salt.as_bytes());
        context.update(password);
        context.finish().as_ref().try_into().unwrap()
    }

    fn secret(vault: &Vault, name: &str, password: &str) -> Secret {
        let envelope = vault.enclose(Zeroizing::new(password.into())).unwrap();
        let sealed = envelope.seal(AccountNo(1), name);
        Secret { name: name.into(), sealed, digest: None, created: Timestamp(1) }
    }

    #[test]
    fn any_secret_of_the_account_answers_and_nothing_else_does() {
        let (vault, challenger) = (Vault::of(None), Challenger::new().unwrap());
        let mut secrets = vec![secret(&vault, "", "own")];
        secrets.extend((0..APP_PASSWORDS_MAX).map(|n| secret(&vault, &format!("{n:02}"), "app")));
        secrets[16] = secret(&vault, "15", "last");
        let key = vault.key();
        let answer = |account, salt: &str, hash: [u8; 32]| {
            let found = challenger.answer(key.as_deref(), account, &secrets, salt, &hash);
            found.map(|secret| secret.name.to_string())
        };
        let me = Some(AccountNo(1));
        assert_eq!(answer(me, SALT, hash(SALT, b"own")), Some("".into()));
        assert_eq!(answer(me, SALT, hash(SALT, b"last")), Some("15".into()));
        for wrong in [b"" as &[u8], b"Own", DECOY] {
            assert_eq!(answer(me, SALT, hash(SALT, wrong)), None);
        }
        assert_eq!(answer(None, SALT, hash(SALT, DECOY)), None);
        assert_eq!(answer(Some(AccountNo(2)), SALT, hash(SALT, b"own")), None);
        assert_eq!(answer(me, SALT, hash("0123456789abcdef-43", b"own")), None);
        for bad in ["", "-", "0123456789abcdef-", "0123456789ABCDEF-1", "0123456789abcde-1"] {
            assert_eq!(answer(me, bad, hash(bad, b"own")), None, "{bad}");
        }
        let long = format!("0123456789abcdef-{}", "1".repeat(21));
        assert_eq!(answer(me, &long, hash(&long, b"own")), None);
    }

    #[test]
    fn without_the_key_nothing_is_answered() {
        let (vault, challenger) = (Vault::of(None), Challenger::new().unwrap());
        let secrets = [secret(&vault, "", "own")];
        let other = Vault::of(None);
        secret(&other, "", "makes its key");
        for key in [None, other.key()] {
            let hash = hash(SALT, b"own");
            let me = Some(AccountNo(1));
            assert!(challenger.answer(key.as_deref(), me, &secrets, SALT, &hash).is_none());
        }
    }
}
