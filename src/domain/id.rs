//! The names of things: numbers that never cross a module bare, addresses, session secrets, time.
//!
//! Everything here is a value; parsing is where a bad one is refused, so that a value that exists
//! is a good one.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);
    };
}

id! {
    /// An account of this server, or a correspondent elsewhere. From 1, growing, never reused.
    AccountNo(u32)
}
id! {
    /// A chat. A direct chat's number follows from its two accounts, see [`ChatId::direct`].
    ChatId(u64)
}
id! {
    /// A message: one counter for the whole server, from 1, growing, never from a clock, always
    /// below 2^53. 0 stands for "no message".
    MessageId(u64)
}
id! {
    /// A message's place in its chat: from 1 without gaps. 0 stands for "before the first". What
    /// only tells of the chat has no place of its own, and shares that of what came before it.
    Seq(u32)
}
id! {
    /// Milliseconds since 1970 UTC.
    Timestamp(u64)
}

impl Timestamp {
    pub const fn from_secs(secs: u64) -> Timestamp {
        Timestamp(secs.saturating_mul(1000))
    }

    pub fn secs(self) -> u64 {
        self.0 / 1000
    }
}

impl MessageId {
    /// Beyond every message; as an upper bound it means "to the end".
    pub const END: MessageId = MessageId(u64::MAX);
}

impl ChatId {
    /// The first number of a chat that is not direct. Account numbers stay below 2^31, so a direct
    /// chat's number never reaches it.
    pub const FIRST_GROUP: u64 = 1 << 63;
    /// The same for somebody's own chain, see [`ChatId::own`].
    pub const FIRST_OWN: u64 = Self::FIRST_GROUP | 1 << 62;

    /// The chat of two accounts, whoever asks; of one account with itself too (notes).
    pub fn direct(a: AccountNo, b: AccountNo) -> ChatId {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        ChatId(u64::from(low.0) << 32 | u64::from(high.0))
    }

    /// Somebody's own chain: what concerns them alone and has to reach all their devices. No other
    /// account has a part in it, and nobody writes to it.
    pub fn own(account: AccountNo) -> ChatId {
        ChatId(Self::FIRST_OWN | u64::from(account.0))
    }

    /// A group or a channel: the chats that have a row.
    pub fn is_group(self) -> bool {
        (Self::FIRST_GROUP..Self::FIRST_OWN).contains(&self.0)
    }

    /// The two accounts of a direct chat; `None` for every other kind.
    pub fn pair(self) -> Option<(AccountNo, AccountNo)> {
        (self.0 < Self::FIRST_GROUP)
            .then_some((AccountNo((self.0 >> 32) as u32), AccountNo(self.0 as u32)))
    }

    /// The other side of a direct chat; oneself in a chat with oneself.
    pub fn other(self, me: AccountNo) -> Option<AccountNo> {
        self.pair().map(|(low, high)| if low == me { high } else { low })
    }
}

/// A session's secret: 32 random bytes that only its client and the packets on their way hold.
/// The server keeps a [`SessionKey`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 32]);

impl SessionId {
    pub fn new(bytes: [u8; 32]) -> SessionId {
        SessionId(bytes)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits in either case.
    pub fn from_hex(text: &str) -> Option<SessionId> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
        }
        Some(SessionId(bytes))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }

    /// What the server stores and looks up by: the first 16 bytes of the secret's SHA-256, so that
    /// a copied database logs nobody in.
    pub fn key(&self) -> SessionKey {
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.0);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_ref()[..16]);
        SessionKey(key)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A session by its hash. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub [u8; 16]);

/// Letters and digits that nobody confuses (Crockford's base 32: no i, l, o, u).
const SPELLING: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Random bytes as people can read them aloud and type them: five bits of each, in groups of four,
/// `k7wq-3mxp-0h2d-v9ta`.
pub fn spelled(chance: &[u8]) -> String {
    let mut text = String::with_capacity(chance.len() + chance.len() / 4);
    for (i, byte) in chance.iter().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(SPELLING[usize::from(byte & 31)]));
    }
    text
}

/// The part of an address before the `@`, as RFC 8265 UsernameCaseMapped prepares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login(Box<str>);

/// An address or a login that breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName;

impl Login {
    /// 1..=64 bytes after preparation (RFC 8265 §3.3), none of `@ & / : " ' = ,` or white space.
    pub fn parse(text: &str) -> Result<Login, BadName> {
        // The preparation may grow a text; nothing four times too long can become short enough.
        if text.is_empty() || text.len() > 4 * crate::limits::LOGIN_BYTES_MAX {
            return Err(BadName);
        }
        // What the preparation leaves as it is, and nothing of which is forbidden.
        let simple = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if simple && text.len() <= crate::limits::LOGIN_BYTES_MAX {
            return Ok(Login(text.into()));
        }
        let mapped = UsernameCaseMapped::new().enforce(text).map_err(|_| BadName)?;
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "@&/:\"'=,".contains(c);
        if mapped.is_empty()
            || mapped.len() > crate::limits::LOGIN_BYTES_MAX
            || mapped.contains(forbidden)
        {
            return Err(BadName);
        }
        Ok(Login(mapped.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who or what something is for: `login@host[:port][/chat]`, canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub login: Login,
    /// Lower case ASCII: a name, an IPv4 address, or an IPv6 address in brackets.
    pub host: Box<str>,
    pub port: Option<u16>,
    pub chat: Option<Box<str>>,
}

impl Address {
    /// Reads `login`, `login@host`, `login&host`, each with `:port` and `/chat` after the host if
    /// there is one. A bare login belongs to `home`.
    pub fn parse(text: &str, home: &str) -> Result<Address, BadName> {
        let Some(at) = text.find(['@', '&']) else {
            return Ok(Address::local(Login::parse(text)?, home));
        };
        let login = Login::parse(&text[..at])?;
        let rest = &text[at + 1..];
        let (authority, chat) = match rest.split_once('/') {
            Some((authority, chat)) => (authority, Some(chat)),
            None => (rest, None),
        };
        let bracket = authority.rfind(']').map_or(0, |i| i + 1);
        let (host, port) = match authority[bracket..].split_once(':') {
            Some((tail, port)) => {
                let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                let port = digits.then(|| port.parse().ok()).flatten().ok_or(BadName)?;
                (&authority[..bracket + tail.len()], Some(port))
            }
            None => (authority, None),
        };
        let chat = match chat {
            Some(name) => Some(Login::parse(name)?.0),
            None => None,
        };
        Ok(Address { login, host: host_name(host)?, port, chat })
    }

    pub fn local(login: Login, home: &str) -> Address {
        Address { login, host: home.to_ascii_lowercase().into(), port: None, chat: None }
    }

    /// Whether the address lies on the server `home`: an account, or a chat within one.
    pub fn is_local(&self, home: &str) -> bool {
        self.port.is_none() && self.host.eq_ignore_ascii_case(home)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Piece by piece: this is done for both sides of every message.
        f.write_str(&self.login.0)?;
        f.write_str("@")?;
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(chat) = &self.chat {
            write!(f, "/{chat}")?;
        }
        Ok(())
    }
}

/// A host in canonical form: a name of RFC 1123 letters, an IPv4 address, or a bracketed IPv6
/// address. Names beyond ASCII are to be given in their ASCII form (RFC 5890 A-labels).
fn host_name(text: &str) -> Result<Box<str>, BadName> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().map_err(|_| BadName)?;
        return Ok(format!("[{address}]").into());
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() > crate::limits::HOST_BYTES_MAX || !text.split('.').all(label) {
        return Err(BadName);
    }
    Ok(text.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_chat_has_one_number_for_both_sides() {
        let (a, b) = (AccountNo(7), AccountNo(3));
        assert_eq!(ChatId::direct(a, b), ChatId::direct(b, a));
        assert_eq!(ChatId::direct(a, b).other(a), Some(b));
        assert_eq!(ChatId::direct(a, a).other(a), Some(a));
        let (group, own) = (ChatId(ChatId::FIRST_GROUP + 7), ChatId::own(a));
        assert!(group.pair().is_none() && group.is_group());
        assert!(own.pair().is_none() && !own.is_group() && !ChatId::direct(a, b).is_group());
    }

    #[test]
    fn addresses_are_canonical() {
        let parse = |text| Address::parse(text, "im.test").map(|a| a.to_string());
        assert_eq!(parse("bob").as_deref(), Ok("bob@im.test"));
        assert_eq!(parse("Bob@IM.TEST").as_deref(), Ok("bob@im.test"));
        assert_eq!(parse("bob&im.test").as_deref(), Ok("bob@im.test"));
        assert_eq!(parse("user&[::1]:8080/chat").as_deref(), Ok("user@[::1]:8080/chat"));
        assert_eq!(parse("user@78.107.58.16").as_deref(), Ok("user@78.107.58.16"));
        for bad in ["", "@host", "a b", "a@", "a@b..c", "a@b:", "a@b:99999", "a@b/", "a=b@c"] {
            assert_eq!(parse(bad), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn logins_are_case_mapped() {
        assert_eq!(Login::parse("Алиса").map(|l| l.to_string()).as_deref(), Ok("алиса"));
        assert_eq!(Login::parse(&"a".repeat(64)).map(|_| ()), Ok(()));
        assert_eq!(Login::parse(&"a".repeat(65)), Err(BadName));
    }

    #[test]
    fn a_session_id_survives_its_hexadecimal_form() {
        let id = SessionId::new([0xA5; 32]);
        assert!(SessionId::from_hex(&id.to_hex().to_uppercase()) == Some(id));
        assert!(SessionId::from_hex("a5").is_none());
        assert_eq!(format!("{id:?}"), "SessionId(..)");
    }
}
