//! API keys: every request of Tinode's clients has one. It is no secret, since it stands in every
//! page and program that uses it; it says that the client was meant for this server.
//!
//! ```text
//! version u8 = 1 | application u32 | sequence u16 | root u8 | HMAC-MD5 of the eight before [16]
//! ```
//!
//! in base64 (RFC 4648 §5), integers little-endian.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::config::{Salt, Tinode};

const VERSION: u8 = 1;
/// What is signed.
const HEAD: usize = 8;
const SIGNATURE: usize = 16;
/// In base64.
const LETTERS: usize = (HEAD + SIGNATURE) / 3 * 4;

/// Whether somebody who shows it is let in.
pub fn is_good(key: &str, config: &Tinode) -> bool {
    if config.keys.is_empty() {
        return is_signed(key, &config.key_salt);
    }
    // Every one is looked at, and all of it: how long that takes tells nothing.
    config.keys.iter().fold(false, |found, good| found | is_same(key, good))
}

/// A key for an application, of which there may be several. `root` is for the server's own
/// programs; nothing is asked of it today.
pub fn make(salt: &Salt, application: u32, sequence: u16, root: bool) -> String {
    let mut head = Vec::with_capacity(HEAD + SIGNATURE);
    head.push(VERSION);
    head.extend_from_slice(&application.to_le_bytes());
    head.extend_from_slice(&sequence.to_le_bytes());
    head.push(u8::from(root));
    let signature = signer(&head, salt).finalize().into_bytes();
    head.extend_from_slice(&signature);
    BASE64_URL_SAFE_NO_PAD.encode(head)
}

fn is_signed(key: &str, salt: &Salt) -> bool {
    if key.len() != LETTERS {
        return false;
    }
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(key) else { return false };
    let Some((head, signature)) = bytes.split_at_checked(HEAD) else { return false };
    // In the same time, wherever they differ.
    head.first() == Some(&VERSION) && signer(head, salt).verify_slice(signature).is_ok()
}

fn signer(head: &[u8], salt: &Salt) -> Hmac<Md5> {
    let signer = Hmac::<Md5>::new_from_slice(salt.bytes()).expect("HMAC takes keys of any length");
    signer.chain_update(head)
}

fn is_same(a: &str, b: &str) -> bool {
    let difference = a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It stands in every demo of 2016.
    const DEMO: &str = "AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K";
    /// What the key generator of 2016 makes when it is asked for nothing in particular.
    const PLAIN: &str = "AQAAAAABAAAoeOI7tA3HsYvdzDhYhZJy";

    fn other_salt() -> Salt {
        Salt::from_hex(&"07".repeat(16)).expect("a salt")
    }

    #[test]
    fn the_keys_of_2016_are_good_and_can_be_made() {
        let config = Tinode::default();
        assert!(is_good(DEMO, &config) && is_good(PLAIN, &config));
        assert_eq!(make(&Salt::default(), 1, 1, false), DEMO);
        assert_eq!(make(&Salt::default(), 0, 1, false), PLAIN);
    }

    #[test]
    fn another_salt_has_other_keys() {
        let config = Tinode { key_salt: other_salt(), keys: Vec::new() };
        assert!(!is_good(DEMO, &config));
        let key = make(&other_salt(), u32::MAX, u16::MAX, true);
        assert!(is_good(&key, &config));
        assert!(!is_good(&key, &Tinode::default()));
    }

    #[test]
    fn listed_keys_are_the_only_ones_whoever_signed_them() {
        let foreign = make(&other_salt(), 7, 7, false);
        let config = Tinode { keys: vec![PLAIN.into(), foreign.clone()], ..Tinode::default() };
        assert!(is_good(PLAIN, &config) && is_good(&foreign, &config));
        for bad in [DEMO, "", &foreign[1..], &format!("{foreign}A")] {
            assert!(!is_good(bad, &config), "{bad}");
        }
    }

    #[test]
    fn what_is_no_key_is_not_good() {
        let config = Tinode::default();
        for place in 0..DEMO.len() {
            let mut bad = DEMO.as_bytes().to_vec();
            bad[place] = if bad[place] == b'B' { b'C' } else { b'B' };
            assert!(!is_good(&String::from_utf8_lossy(&bad), &config), "{place}");
        }
        let mut old = BASE64_URL_SAFE_NO_PAD.decode(DEMO).unwrap();
        old[0] = 2;
        let signature = signer(&old[..HEAD], &Salt::default()).finalize().into_bytes();
        old[HEAD..].copy_from_slice(&signature);
        let long = format!("{DEMO}AAAA");
        let other_alphabet = DEMO.replace('_', "/");
        let padded = format!("{}==", &DEMO[..30]);
        for bad in [
            "",
            "A",
            &DEMO[..28],
            &long,
            &other_alphabet,
            &padded,
            &BASE64_URL_SAFE_NO_PAD.encode(old),
        ] {
            assert!(!is_good(bad, &config), "{bad}");
        }
    }
}
