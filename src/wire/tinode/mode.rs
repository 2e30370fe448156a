//! Access letters as Tinode's clients write them (Tinode 0.5, «Access control»). How they are
//! printed is [`Access`]'s own.

use crate::domain::access::Access;

/// A field that asks for letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is not there.
    #[default]
    Absent,
    /// It is empty: whatever the default is.
    Usual,
    Letters(Access),
    /// A letter that does not exist.
    Bad,
}

impl Mode {
    /// In any order; `N` forgets the letters before it, and beside `X` nothing else counts.
    pub fn parse(text: &str) -> Mode {
        if text.is_empty() {
            return Mode::Usual;
        }
        let mut access = Access::NONE;
        for letter in text.bytes() {
            access = match letter {
                b'N' => Access::NONE,
                b'R' => access.with(Access::READ),
                b'W' => access.with(Access::WRITE),
                b'P' => access.with(Access::PRESENCE),
                b'S' => access.with(Access::SHARE),
                b'D' => access.with(Access::DELETE),
                b'O' => access.with(Access::OWN),
                b'X' => access.with(Access::BANNED),
                _ => return Mode::Bad,
            };
        }
        Mode::Letters(if access.is_banned() { Access::BANNED } else { access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_tinode_reads_them() {
        let letters = |text: &str| match Mode::parse(text) {
            Mode::Letters(access) => access.to_string(),
            other => format!("{other:?}"),
        };
        let cases = [
            ("RWP", "RWP"),
            ("ODSPWR", "RWPSDO"),
            ("RRW", "RW"),
            ("N", "N"),
            ("RWN", "N"),
            ("RNW", "W"),
            ("NN", "N"),
            ("X", "X"),
            ("RWX", "X"),
            ("XRW", "X"),
            // A ban is a letter like the others to what comes after it.
            ("XN", "N"),
            ("NX", "X"),
            ("", "Usual"),
            ("r", "Bad"),
            ("RWQ", "Bad"),
            ("QN", "Bad"),
            ("R W", "Bad"),
            ("Ж", "Bad"),
        ];
        for (text, expected) in cases {
            assert_eq!(letters(text), expected, "{text:?}");
        }
        assert_eq!(Mode::default(), Mode::Absent);
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for bits in 0..128 {
            let access = Access(bits);
            let Mode::Letters(back) = Mode::parse(&access.to_string()) else { panic!("{access}") };
            assert_eq!(back.to_string(), access.to_string());
        }
    }
}
