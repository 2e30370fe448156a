//! `[tinode]`: which API keys are good. How they are made is known to `wire::tinode::key` alone.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

/// What Tinode's clients must show.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tinode {
    pub key_salt: Salt,
    /// The only good ones, whatever they are signed with; empty: all that `key_salt` has signed.
    pub keys: Vec<String>,
}

/// What API keys are signed with. A secret unless it is the usual one, so that nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Box<[u8]>);

impl Salt {
    /// That of every Tinode server that was never given another one: a constant in its source, and
    /// in the keys that are printed in its demos.
    const USUAL: [u8; 32] = [
        0x4f, 0xbd, 0x77, 0xfe, 0xb6, 0x18, 0x81, 0x6e, 0xe0, 0xe2, 0x6d, 0xef, 0x1b, 0xac, 0xc6,
        0x46, 0x1e, 0xfe, 0x14, 0xcd, 0x6d, 0xd1, 0x3f, 0x23, 0xd7, 0x79, 0x28, 0x5d, 0x27, 0x0e,
        0x02, 0x3e,
    ];
    /// As many as a signature has, and more than anybody needs.
    const BYTES_MIN: usize = 16;
    const BYTES_MAX: usize = 128;

    /// `None`: not 32 to 256 hexadecimal digits, or an odd number of them.
    pub fn from_hex(text: &str) -> Option<Salt> {
        let digits: Vec<u8> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        let is_whole = digits.len().is_multiple_of(2);
        let fits = (Salt::BYTES_MIN..=Salt::BYTES_MAX).contains(&(digits.len() / 2));
        let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d));
        (is_whole && fits).then(|| Salt(bytes.collect()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Salt {
    fn default() -> Salt {
        Salt(Salt::USUAL.into())
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Salt, D::Error> {
        // The parser's own complaint about another type would show the value.
        let text = String::deserialize(reader).ok();
        let salt = text.and_then(|text| Salt::from_hex(&text));
        salt.ok_or_else(|| D::Error::custom("it is no salt; expected 32 to 256 hexadecimal digits"))
    }
}
