//! Names of topics and people, and the numbers they spell: base64 (RFC 4648 §5, no padding) of
//! little-endian bytes behind three letters that say what it is (Tinode 0.5, «How it works?»).
//!
//! One number has one spelling. Whatever else decodes to it is no name, so that a name can be
//! compared, and kept, as the text that it is.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// What a topic's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    Me,
    /// A group that is to be made.
    New,
    /// A person; as a topic, the chat of that person and whoever says it.
    User(u64),
    /// The chat of two people, the smaller number first: see [`Topic::peer`].
    Peer(u64, u64),
    Group(u64),
    /// It begins like the name of a person or of a chat of two, and is none.
    Bad,
    /// Nobody's name, whatever is looked up: mistyped groups are, too.
    Unknown,
}

impl Topic {
    pub fn parse(text: &str) -> Topic {
        let (kind, rest) = text.split_at_checked(3).unwrap_or((text, ""));
        match (kind, rest) {
            ("me", "") => Topic::Me,
            ("new", "") => Topic::New,
            ("usr", uid) => numbers::<8>(uid).map_or(Topic::Bad, |uid| person(le(&uid))),
            ("p2p", both) => numbers::<16>(both).map_or(Topic::Bad, |both| peers(&both)),
            ("grp", number) => numbers::<9>(number).map_or(Topic::Unknown, |bytes| group(&bytes)),
            _ => Topic::Unknown,
        }
    }

    /// The chat of two people, whoever is named first.
    pub fn peer(a: u64, b: u64) -> Topic {
        // Smaller as numbers: neither as bytes nor as texts, whose order is another one.
        Topic::Peer(a.min(b), a.max(b))
    }
}

/// The number of a person's name, as in `set.sub.user`.
pub fn parse_user(text: &str) -> Option<u64> {
    match Topic::parse(text) {
        Topic::User(uid) => Some(uid),
        Topic::Me
        | Topic::New
        | Topic::Peer(..)
        | Topic::Group(_)
        | Topic::Bad
        | Topic::Unknown => None,
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Topic::Me => f.write_str("me"),
            Topic::New => f.write_str("new"),
            Topic::User(uid) => spell(f, "usr", &uid.to_le_bytes()),
            Topic::Peer(one, other) => {
                let both = u128::from(one) | u128::from(other) << 64;
                spell(f, "p2p", &both.to_le_bytes())
            }
            Topic::Group(number) => {
                let mut bytes = [0; 9];
                bytes[..8].copy_from_slice(&number.to_le_bytes());
                bytes[8] = check(&bytes[..8]);
                spell(f, "grp", &bytes)
            }
            // Nothing of ours has such a name.
            Topic::Bad | Topic::Unknown => Ok(()),
        }
    }
}

/// Nobody has the number 0; it stands for somebody who is not logged in.
fn person(uid: u64) -> Topic {
    if uid == 0 { Topic::Bad } else { Topic::User(uid) }
}

fn peers(bytes: &[u8; 16]) -> Topic {
    let (one, other) = bytes.split_at(8);
    let (one, other) = (le(one), le(other));
    // Somebody's chat with oneself is a name, whether it can be had or not.
    if one == 0 || other < one { Topic::Bad } else { Topic::Peer(one, other) }
}

/// A group's number, where the ninth byte vouches for the others: a slip of the finger in a name is
/// noticed without a look at the disk, but for one in some hundreds.
fn group(bytes: &[u8; 9]) -> Topic {
    let (number, vouching) = bytes.split_at(8);
    if vouching == [check(number)] { Topic::Group(le(number)) } else { Topic::Unknown }
}

fn check(number: &[u8]) -> u8 {
    crc32fast::hash(number) as u8
}

fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn spell(f: &mut fmt::Formatter<'_>, kind: &str, bytes: &[u8]) -> fmt::Result {
    f.write_str(kind)?;
    f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// So many bytes in their one spelling: the engine refuses padding and spare bits.
fn numbers<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The longest name's 22 letters, and what the engine wants to have in hand.
    let mut bytes = [0; 18];
    if text.len() != (4 * N).div_ceil(3) {
        return None;
    }
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two people of the README.
    const ONE: u64 = 0x2b05_12e8_df01_3d3a;
    const OTHER: u64 = 0xc736_115c_39cb_4f21;

    #[test]
    fn the_readmes_people_and_their_chat_are_read_and_written() {
        // Tinode 0.5, «Peer to Peer Topics».
        let (one, other) = (Topic::parse("usrOj0B3-gSBSs"), Topic::parse("usrIU_LOVwRNsc"));
        assert_eq!((one, other), (Topic::User(ONE), Topic::User(OTHER)));
        assert_eq!(one.to_string(), "usrOj0B3-gSBSs");
        let chat = "p2pOj0B3-gSBSshT8s5XBE2xw";
        assert_eq!(Topic::parse(chat), Topic::Peer(ONE, OTHER));
        assert_eq!(Topic::peer(OTHER, ONE), Topic::Peer(ONE, OTHER));
        assert_eq!(Topic::peer(ONE, OTHER).to_string(), chat);
        // «How it works?» has another two.
        let other = "p2p2il9suCbukqm4P2KFOv9-w";
        let Topic::Peer(low, high) = Topic::parse(other) else { panic!("{other}") };
        assert_eq!(Topic::User(low).to_string(), "usr2il9suCbuko");
        assert_eq!(Topic::peer(high, low).to_string(), other);
    }

    #[test]
    fn every_number_is_read_back_from_its_name() {
        let mut number = 1_u64;
        for _ in 0..1000 {
            number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1).max(1);
            let topics =
                [Topic::User(number), Topic::Group(number), Topic::peer(number, number.max(7))];
            for topic in topics {
                let name = topic.to_string();
                assert_eq!(Topic::parse(&name), topic, "{name}");
            }
            assert_eq!(Topic::Group(number).to_string().len(), 15);
        }
        for edge in [0, u64::MAX] {
            let topic = Topic::Group(edge);
            assert_eq!(Topic::parse(&topic.to_string()), topic);
        }
        assert_eq!(Topic::parse("me"), Topic::Me);
        assert_eq!(Topic::parse("new"), Topic::New);
    }

    #[test]
    fn a_number_has_one_spelling() {
        let bad = [
            "usr",
            "usrOj0B3-gSBS",
            "usrOj0B3-gSBSs=",
            "usrOj0B3-gSBSsA",
            // Spare bits.
            "usrOj0B3-gSBSt",
            // The other alphabet.
            "usrOj0B3+gSBSs",
            "usrOj0B3-gSBS ",
            "usrOj0B3-gSBSé",
            "usré",
            // Nobody.
            "usrAAAAAAAAAAA",
            "p2p",
            "p2pOj0B3-gSBSs",
            "p2pOj0B3-gSBSshT8s5XBE2xx",
            "p2pOj0B3-gSBSshT8s5XBE2xw==",
            // The larger one first.
            "p2pIU_LOVwRNsc6PQHf6BIFKw",
            "p2pAAAAAAAAAAAhT8s5XBE2xw",
        ];
        for bad in bad {
            assert_eq!(Topic::parse(bad), Topic::Bad, "{bad}");
        }
        let unknown =
            ["", "m", "Me", "mee", "news", "New", "fnd", "grp", "grp1XUtEhjv6HND", "é", "aé"];
        for unknown in unknown {
            assert_eq!(Topic::parse(unknown), Topic::Unknown, "{unknown}");
        }
        assert_eq!(parse_user("usrOj0B3-gSBSs"), Some(ONE));
        for other in ["", "me", "p2pOj0B3-gSBSshT8s5XBE2xw", "usrOj0B3-gSBSt"] {
            assert_eq!(parse_user(other), None, "{other}");
        }
    }

    #[test]
    fn a_mistyped_group_is_noticed() {
        let name = Topic::Group(ONE).to_string();
        let mut unnoticed = 0;
        for place in 3..name.len() {
            for letter in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']) {
                let mut typed: Vec<char> = name.chars().collect();
                typed[place] = letter;
                let typed: String = typed.into_iter().collect();
                unnoticed += usize::from(typed != name && Topic::parse(&typed) != Topic::Unknown);
            }
        }
        // Of 756.
        assert!(unnoticed <= 6, "{unnoticed}");
    }
}
