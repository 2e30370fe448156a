//! Sealing under one key: ChaCha20-Poly1305 with the nonce in front, bound to account and name.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::random;
use crate::domain::id::AccountNo;
use crate::domain::words::{KeyId, Sealed};

pub(super) const KEY_BYTES: usize = 32;
/// Passwords are filled up to a multiple of this before they are sealed: how long they are is
/// nobody's business.
const PAD_BYTES: usize = 64;
/// Behind the password, before the zeros.
const PAD_MARK: u8 = 0x80;

pub(in crate::engine) struct Key {
    pub(in crate::engine) id: KeyId,
    aead: LessSafeKey,
}

impl Key {
    pub(super) fn new(bytes: &[u8; KEY_BYTES]) -> Key {
        let hash = digest(&SHA256, bytes);
        let mut id = [0; 4];
        id.copy_from_slice(&hash.as_ref()[..4]);
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("the key has its length");
        Key { id: KeyId(u32::from_be_bytes(id)), aead: LessSafeKey::new(key) }
    }

    /// A key that nothing on any disk was sealed under.
    pub(in crate::engine) fn throwaway() -> Result<Key, String> {
        Ok(Key::new(&Zeroizing::new(random::<KEY_BYTES>()?)))
    }

    pub(in crate::engine) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        account: AccountNo,
        name: &str,
        secret: &[u8],
    ) -> Sealed {
        // Room for the tag, so that no copy is left behind by growing.
        let length = (secret.len() + 1).next_multiple_of(PAD_BYTES);
        let mut text = Vec::with_capacity(length + CHACHA20_POLY1305.tag_len());
        text.extend_from_slice(secret);
        text.push(PAD_MARK);
        text.resize(length, 0);
        let bound = Aad::from(bound(account, name));
        self.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text)
            .expect("a password is shorter than what the cipher takes");
        let mut bytes = Vec::with_capacity(NONCE_LEN + text.len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&text);
        Sealed { key: self.id, bytes: bytes.into() }
    }

    /// What was sealed; `None` when it was under another key, for another account or name, or is
    /// damaged.
    pub(in crate::engine) fn open(
        &self,
        account: AccountNo,
        name: &str,
        sealed: &Sealed,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.aead.open_in_place(nonce, Aad::from(bound(account, name)), &mut text);
        let length = length.ok()?.len();
        text.truncate(length);
        let end = text.iter().rposition(|byte| *byte != 0)?;
        if text[end] != PAD_MARK {
            return None;
        }
        text.truncate(end);
        Some(text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, ..)", self.id)
    }
}

/// What a sealed secret belongs to.
fn bound(account: AccountNo, name: &str) -> Vec<u8> {
    let mut bound = account.0.to_be_bytes().to_vec();
    bound.extend_from_slice(name.as_bytes());
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: &Key, account: u32, name: &str, password: &[u8]) -> Sealed {
        key.seal(random().unwrap(), AccountNo(account), name, password)
    }

    fn opened(key: &Key, account: u32, name: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        key.open(AccountNo(account), name, sealed).map(|text| text.to_vec())
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_account_and_name_only() {
        let key = Key::throwaway().unwrap();
        for length in [1, 2, 62, 63, 64, 65, 127, 128, 1024] {
            let mut password = vec![b'x'; length];
            password[length - 1] = if length % 2 == 0 { PAD_MARK } else { 0 };
            let sealed = sealed(&key, 1, "phone", &password);
            assert_eq!(opened(&key, 1, "phone", &sealed), Some(password.clone()), "{length}");
            assert_eq!(opened(&key, 2, "phone", &sealed), None);
            assert_eq!(opened(&key, 1, "", &sealed), None);
            assert_eq!(opened(&Key::throwaway().unwrap(), 1, "phone", &sealed), None);
            assert!(length < 4 || !sealed.bytes.windows(4).any(|w| w == b"xxxx"), "{length}");
        }
        // Lengths do not show.
        let lengths = [1, 30, 63].map(|n| sealed(&key, 1, "", &vec![b'x'; n]).bytes.len());
        assert_eq!(lengths, [lengths[0]; 3]);
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_nothing_panics() {
        let key = Key::throwaway().unwrap();
        let good = sealed(&key, 1, "phone", b"secret");
        for bit in 0..good.bytes.len() * 8 {
            let mut bad = good.clone();
            bad.bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&key, 1, "phone", &bad), None, "bit {bit}");
        }
        for length in 0..good.bytes.len() {
            let cut = Sealed { bytes: good.bytes[..length].into(), ..good };
            assert_eq!(opened(&key, 1, "phone", &cut), None, "{length}");
        }
    }
}
