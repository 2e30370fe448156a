//! The one permission model: letters R W P S D O X (seed 004, «Access control»), of which a member
//! has what they want of what they are given.

use std::fmt;

/// A set of letters. The numbers lie on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(pub u8);

impl Access {
    pub const NONE: Access = Access(0);
    /// Reads the history and hears what is new.
    pub const READ: Access = Access(1);
    pub const WRITE: Access = Access(2);
    /// Hears who is there, and shows it.
    pub const PRESENCE: Access = Access(4);
    /// Invites, approves, removes and bans those who have neither S nor O.
    pub const SHARE: Access = Access(8);
    /// Deletes for everybody, whoever wrote it.
    pub const DELETE: Access = Access(16);
    /// Everything else about the chat. Exactly one member has it.
    pub const OWN: Access = Access(32);
    /// Banned by those who gave it, or banned by oneself. Nothing else counts beside it.
    pub const BANNED: Access = Access(64);
    /// What both sides of a direct chat have: R W P D.
    pub const DIRECT: Access = Access(1 | 2 | 4 | 16);
    /// What a newcomer to a group has: R W P.
    pub const GROUP: Access = Access(1 | 2 | 4);
    /// What a newcomer to a channel has: R P.
    pub const CHANNEL: Access = Access(1 | 4);
    /// Every letter but X.
    pub const OWNER: Access = Access(63);

    const LETTERS: [(char, Access); 7] = [
        ('R', Access::READ),
        ('W', Access::WRITE),
        ('P', Access::PRESENCE),
        ('S', Access::SHARE),
        ('D', Access::DELETE),
        ('O', Access::OWN),
        ('X', Access::BANNED),
    ];

    pub fn has(self, letter: Access) -> bool {
        self.0 & letter.0 == letter.0
    }

    pub fn has_any(self, letters: Access) -> bool {
        self.0 & letters.0 != 0
    }

    /// The letters of both. X of either stays: who is banned by one side is banned.
    pub fn and(self, other: Access) -> Access {
        Access(self.0 & other.0 | (self.0 | other.0) & Access::BANNED.0)
    }

    pub const fn with(self, letters: Access) -> Access {
        Access(self.0 | letters.0)
    }

    pub fn without(self, letters: Access) -> Access {
        Access(self.0 & !letters.0)
    }

    pub fn is_banned(self) -> bool {
        self.has(Access::BANNED)
    }

    /// Whether somebody with this mode is there at all.
    pub fn is_member(self) -> bool {
        self != Access::NONE && !self.is_banned()
    }

    /// Reads letters in any order; `N` is none. X beside others leaves nothing but X. `None`: a
    /// letter that does not exist, or nothing at all.
    pub fn parse(text: &str) -> Option<Access> {
        if text == "N" {
            return Some(Access::NONE);
        }
        let mut access = Access::NONE;
        for letter in text.chars() {
            let (_, bit) = Access::LETTERS.into_iter().find(|(l, _)| *l == letter)?;
            access = access.with(bit);
        }
        match access {
            Access::NONE => None,
            access if access.is_banned() => Some(Access::BANNED),
            access => Some(access),
        }
    }
}

/// `RWPSDO` in that order, `N` for none, `X` alone.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_banned() {
            return f.write_str("X");
        }
        if *self == Access::NONE {
            return f.write_str("N");
        }
        for (letter, bit) in Access::LETTERS {
            if self.has(bit) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_letters_is_read_back_from_its_spelling() {
        for bits in 0..64 {
            let access = Access(bits);
            assert_eq!(Access::parse(&access.to_string()), Some(access));
            let banned = access.with(Access::BANNED);
            assert_eq!(banned.to_string(), "X");
            assert!(!banned.is_member());
        }
        assert_eq!(Access::parse("OWR"), Some(Access(1 | 2 | 32)));
        assert_eq!(Access::parse("RX"), Some(Access::BANNED));
        for bad in ["", "r", "RWQ", "RN", "R W", "Ж"] {
            assert_eq!(Access::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_ban_of_either_side_counts() {
        let (all, read) = (Access::OWNER, Access::READ);
        assert_eq!(all.and(read), read);
        assert!(all.with(Access::BANNED).and(read).is_banned());
        assert!(read.and(Access::BANNED).is_banned());
        assert!(!all.and(Access::NONE).is_member());
    }
}
