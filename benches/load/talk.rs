//! What a client says and hears, in every protocol alike: no sockets, no clock, bytes in and out.
//!
//! A row of the table is written once, against [`Talk`], so that no server is measured by other
//! steps than another. Clients are as small as a client may be: they answer what must be answered,
//! and look at no more of a packet than they need.

mod bare;
mod irc;
mod mqtt;
mod msim;
mod xml;
mod xmpp;

use crate::text::Text;

/// Messages a page of history has where nothing else is asked for.
pub(crate) const PAGE: u32 = 50;
/// The password of every account.
const PASSWORD: &str = "benchmark";

/// Something that a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Logged in, and known as present.
    Ready,
    /// The last request was answered well.
    Done,
    /// A message for this client.
    Message(Text),
    /// The server took over the oldest message that it had not yet acknowledged.
    Answered,
    /// A page of history: what it holds, and whether there is more.
    Page { texts: Vec<Text>, more: bool },
    /// Something else, which needs nothing.
    Nothing,
}

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) login: String,
    /// Makes the account first.
    pub(crate) is_new: bool,
    /// What an earlier login was given to come back with.
    pub(crate) token: Option<String>,
    /// The server is to keep what comes while the client is away, where only a client's wish makes
    /// it.
    pub(crate) lasting: bool,
}

impl Guest {
    /// One whose account exists, or who needs none.
    pub(crate) fn named(login: &str) -> Guest {
        Guest { login: login.to_owned(), is_new: false, token: None, lasting: false }
    }
}

/// A client's side of one connection.
pub(crate) trait Talk: std::fmt::Debug {
    /// What it says first.
    fn open(&mut self, out: &mut Vec<u8>);

    /// Takes one thing off the front of what was received: how many bytes, and what they mean.
    /// `None` while it is not all there. A refusal is an error.
    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String>;

    /// A message to one other; [`Heard::Answered`] where the protocol acknowledges.
    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>);

    /// Makes a room, once and for all; [`Heard::Done`]. False where rooms need no making.
    fn found(&mut self, _room: &str, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Becomes a member, once and for all; [`Heard::Done`]. False where only presence counts.
    fn enroll(&mut self, _room: &str, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Is in the room from now on, with this connection; [`Heard::Done`]. False where a member's
    /// connections always are.
    fn enter(&mut self, room: &str, out: &mut Vec<u8>) -> bool;

    /// A message to all of a room.
    fn tell(&mut self, room: &str, text: Text, out: &mut Vec<u8>);

    /// Asks for the newest page of what was said with somebody; [`Heard::Page`].
    fn look_back(&mut self, with: &str, out: &mut Vec<u8>);

    /// Asks for everything that came to this client since the beginning, or for what follows the
    /// page before; [`Heard::Page`].
    fn catch_up(&mut self, out: &mut Vec<u8>);

    /// What a later connection may come back with instead of a password.
    fn token(&self) -> Option<String> {
        None
    }
}

/// The languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tongue {
    Msim,
    Xmpp,
    Irc,
    Mqtt,
    /// That of `crate::bare`.
    Bare,
}

/// What a server keeps for those who are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// All that was said, to be read by pages.
    History,
    /// What has not been delivered, to one client that asked for it.
    Queue,
    Nothing,
}

impl Tongue {
    pub(crate) fn named(name: &str) -> Result<Tongue, String> {
        match name {
            "msim" => Ok(Tongue::Msim),
            "xmpp" => Ok(Tongue::Xmpp),
            "irc" => Ok(Tongue::Irc),
            "mqtt" => Ok(Tongue::Mqtt),
            "bare" => Ok(Tongue::Bare),
            _ => Err(format!("no client here speaks {name}")),
        }
    }

    pub(crate) fn client(self, guest: Guest) -> Box<dyn Talk> {
        match self {
            Tongue::Msim => Box::new(msim::Msim::new(guest)),
            Tongue::Xmpp => Box::new(xmpp::Xmpp::new(guest)),
            Tongue::Irc => Box::new(irc::Irc::new(guest)),
            Tongue::Mqtt => Box::new(mqtt::Mqtt::new(guest)),
            Tongue::Bare => Box::new(bare::Bare::new(guest)),
        }
    }

    /// Whether an account has to be made before anybody logs in to it.
    pub(crate) fn has_accounts(self) -> bool {
        matches!(self, Tongue::Msim | Tongue::Xmpp)
    }

    /// Whether the server says to the author that it took a message over.
    pub(crate) fn acknowledges(self) -> bool {
        matches!(self, Tongue::Msim | Tongue::Mqtt | Tongue::Bare)
    }

    /// Whether who is in a room is kept, whoever is connected.
    pub(crate) fn has_lasting_members(self) -> bool {
        self == Tongue::Msim
    }

    /// Whether one can write to a room without hearing it.
    pub(crate) fn tells_from_outside(self) -> bool {
        matches!(self, Tongue::Mqtt | Tongue::Bare)
    }

    pub(crate) fn keeps(self) -> Keeps {
        match self {
            Tongue::Msim | Tongue::Xmpp => Keeps::History,
            Tongue::Mqtt => Keeps::Queue,
            Tongue::Irc | Tongue::Bare => Keeps::Nothing,
        }
    }
}

/// Where `words` begin in `bytes`.
fn find(bytes: &[u8], words: &str) -> Option<usize> {
    let words = words.as_bytes();
    let first = *words.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(words) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// What follows `words` in `bytes`.
fn after<'a>(bytes: &'a [u8], words: &str) -> Option<&'a [u8]> {
    find(bytes, words).map(|at| &bytes[at + words.len()..])
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned()
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Everything that a client hears in `bytes`, which arrive whole and then byte by byte; both
    /// times the same, with the same answers.
    pub(super) fn hear_all(make: impl Fn() -> Box<dyn Talk>, bytes: &[u8]) -> (Vec<Heard>, String) {
        let whole = hear(make(), bytes, bytes.len());
        assert_eq!(whole, hear(make(), bytes, 1));
        whole
    }

    fn hear(mut talk: Box<dyn Talk>, bytes: &[u8], step: usize) -> (Vec<Heard>, String) {
        let (mut out, mut all) = (Vec::new(), Vec::new());
        talk.open(&mut out);
        let (mut start, mut end) = (0, 0);
        while end < bytes.len() {
            end = bytes.len().min(end + step.max(1));
            while let Some((taken, heard)) = talk.hear(&bytes[start..end], &mut out).unwrap() {
                start += taken;
                all.push(heard);
            }
        }
        assert_eq!(start, bytes.len(), "all of it was understood");
        all.retain(|heard| *heard != Heard::Nothing);
        (all, String::from_utf8_lossy(&out).into_owned())
    }

    pub(super) fn guest(login: &str) -> Guest {
        Guest::named(login)
    }
}
