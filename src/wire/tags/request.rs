//! What a client may say, word by word.

use super::numbers::{Place, Target};
use super::text::unescaped;
use crate::domain::id::AccountNo;

/// A command with its arguments. Names are unescaped, passwords are as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request<'l> {
    NewUser {
        name: String,
        password: &'l str,
    },
    NewServer {
        name: String,
    },
    NewChannel {
        server: u64,
        name: String,
    },
    Iam {
        name: String,
        password: &'l str,
    },
    Message {
        to: Target,
        text: &'l str,
    },
    /// `third`: how many messages, or which file.
    Get {
        of: Target,
        third: Option<u64>,
    },
    NewFile {
        name: String,
        size: u64,
        to: Target,
    },
    File {
        to: Target,
        size: u64,
        frame: &'l str,
    },
    InviteFriend(AccountNo),
    Invite {
        who: AccountNo,
        to: Place,
    },
    JoinFriend(AccountNo),
    Join(Place),
    Bye,
    Leave(Place),
    Delete(Place),
    Rename {
        name: String,
        place: Place,
    },
    ChangePassword {
        old: &'l str,
        new: &'l str,
    },
    ChangeName {
        name: String,
        password: &'l str,
    },
    Toc,
    Game {
        table: &'l str,
        text: &'l str,
    },
    Stop,
}

/// A line that is no command: what there is to say of it.
pub(super) type Fault = &'static str;

const NEW: Fault = "NEW takes USR pseudo password, or SERV name, or CHAN tag_server name";
const MSG: Fault = "MSG takes 0 tag_usr text, or tag_server tag_chan text";
const GET: Fault = "GET takes 0 tag_usr, or tag_server tag_chan, and a count or a file's id";
const NEWFILE: Fault = "NEWFILE takes name size, and 0 tag_usr or tag_server tag_chan";
const FILE: Fault = "FILE takes 0 tag_usr or tag_server tag_chan, and size frame";
const INV: Fault = "INV takes 0 tag_usr, and tag_server tag_chan where it is to a channel";
const JOIN: Fault = "JOIN takes 0 tag_usr, or tag_server tag_chan";
const BYE: Fault = "BYE takes nothing, or tag_server tag_chan";
const DEL: Fault = "DEL takes tag_server tag_chan";
const RENAME: Fault = "RENAME takes new_name tag_server, and tag_chan where it is a channel";
const NUMBER: Fault = "a number is decimal, without a sign, and less than 9223372036854775808";
const NOBODY: Fault = "nobody has that number";
const NAME: Fault = "a name is UTF-8 where its % escapes are read";

impl Request<'_> {
    pub(super) fn parse(line: &str) -> Result<Request<'_>, Fault> {
        let mut words = Words { rest: line };
        match words.next().unwrap_or_default() {
            "NEW" => new(words),
            "IAM" => {
                let (name, password) = words.pair("IAM takes pseudo password")?;
                Ok(Request::Iam { name: named(name)?, password })
            }
            "MSG" => {
                let (server, number) = (words.next().ok_or(MSG)?, words.next().ok_or(MSG)?);
                let to = target(server, number)?;
                let text = words.rest().ok_or(MSG)?;
                Ok(Request::Message { to, text })
            }
            "GET" => match words.all(GET)?.as_slice() {
                [server, number] => Ok(Request::Get { of: target(server, number)?, third: None }),
                [server, tag, third] => {
                    let third = Some(number(third)?);
                    Ok(Request::Get { of: target(server, tag)?, third })
                }
                _ => Err(GET),
            },
            "NEWFILE" => match words.all(NEWFILE)?.as_slice() {
                [name, size, server, tag] => {
                    let (name, size) = (named(name)?, number(size)?);
                    Ok(Request::NewFile { name, size, to: target(server, tag)? })
                }
                _ => Err(NEWFILE),
            },
            "FILE" => match words.all(FILE)?.as_slice() {
                [server, tag, size, frame] => {
                    Ok(Request::File { to: target(server, tag)?, size: number(size)?, frame })
                }
                _ => Err(FILE),
            },
            "INV" => match words.all(INV)?.as_slice() {
                ["0", who] => Ok(Request::InviteFriend(person(who)?)),
                ["0", who, server, channel] => {
                    Ok(Request::Invite { who: person(who)?, to: place(server, channel)? })
                }
                _ => Err(INV),
            },
            "JOIN" => match words.all(JOIN)?.as_slice() {
                [server, tag] => Ok(match target(server, tag)? {
                    Target::Person(who) => Request::JoinFriend(who),
                    Target::Place(place) => Request::Join(place),
                }),
                _ => Err(JOIN),
            },
            "BYE" => match words.all(BYE)?.as_slice() {
                [] => Ok(Request::Bye),
                [server, channel] => Ok(Request::Leave(place(server, channel)?)),
                _ => Err(BYE),
            },
            "DEL" => match words.all(DEL)?.as_slice() {
                [server, channel] => Ok(Request::Delete(place(server, channel)?)),
                _ => Err(DEL),
            },
            "RENAME" => match words.all(RENAME)?.as_slice() {
                [name, server] => {
                    Ok(Request::Rename { name: named(name)?, place: place(server, "0")? })
                }
                [name, server, channel] => {
                    Ok(Request::Rename { name: named(name)?, place: place(server, channel)? })
                }
                _ => Err(RENAME),
            },
            "PSW" => {
                let (old, new) = words.pair("PSW takes password new_password")?;
                Ok(Request::ChangePassword { old, new })
            }
            "PSD" => {
                let (name, password) = words.pair("PSD takes new_pseudo password")?;
                Ok(Request::ChangeName { name: named(name)?, password })
            }
            "TOC" => words.nothing("TOC takes nothing").map(|()| Request::Toc),
            "JEU" => {
                const JEU: Fault = "JEU takes id text";
                let table = words.next().ok_or(JEU)?;
                Ok(Request::Game { table, text: words.rest().ok_or(JEU)? })
            }
            "EXT" => words.nothing("EXT takes nothing").map(|()| Request::Stop),
            _ => Err("there is no such command"),
        }
    }
}

fn new(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    match words.next() {
        Some("USR") => {
            let (name, password) = words.pair("NEW USR takes pseudo password")?;
            Ok(Request::NewUser { name: named(name)?, password })
        }
        Some("SERV") => match words.all(NEW)?.as_slice() {
            [name] => Ok(Request::NewServer { name: named(name)? }),
            _ => Err("NEW SERV takes name"),
        },
        Some("CHAN") => {
            let (server, name) = words.pair("NEW CHAN takes tag_server name")?;
            let server = place(server, "0")?.server;
            Ok(Request::NewChannel { server, name: named(name)? })
        }
        Some(_) | None => Err(NEW),
    }
}

/// A line's words, one after the other. More than one space between two is one.
struct Words<'l> {
    rest: &'l str,
}

impl<'l> Words<'l> {
    /// More than any command with a fixed number of words has.
    const MOST: usize = 5;

    fn next(&mut self) -> Option<&'l str> {
        let rest = self.rest.trim_start_matches(' ');
        let end = rest.find(' ').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word).filter(|word| !word.is_empty())
    }

    /// Everything after one space.
    fn rest(self) -> Option<&'l str> {
        self.rest.strip_prefix(' ')
    }

    /// All that are left; `fault` where there are more than there can be.
    fn all(mut self, fault: Fault) -> Result<Vec<&'l str>, Fault> {
        let mut all = Vec::with_capacity(Self::MOST);
        while let Some(word) = self.next() {
            if all.len() == Self::MOST {
                return Err(fault);
            }
            all.push(word);
        }
        Ok(all)
    }

    fn pair(self, fault: Fault) -> Result<(&'l str, &'l str), Fault> {
        match self.all(fault)?.as_slice() {
            [one, other] => Ok((one, other)),
            _ => Err(fault),
        }
    }

    fn nothing(mut self, fault: Fault) -> Result<(), Fault> {
        self.next().map_or(Ok(()), |_| Err(fault))
    }
}

/// Below 2^63, so that every sum of it and a chat's first number is a number.
fn number(word: &str) -> Result<u64, Fault> {
    let is_decimal = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let number = is_decimal.then(|| word.parse::<u64>().ok()).flatten();
    number.filter(|number| *number < 1 << 63).ok_or(NUMBER)
}

fn person(word: &str) -> Result<AccountNo, Fault> {
    let no = u32::try_from(number(word)?).map_err(|_| NOBODY)?;
    if no == 0 { Err(NOBODY) } else { Ok(AccountNo(no)) }
}

fn place(server: &str, channel: &str) -> Result<Place, Fault> {
    let (server, channel) = (number(server)?, number(channel)?);
    if server == 0 {
        return Err("a server's number is not 0");
    }
    Ok(Place { server, channel })
}

fn target(server: &str, tag: &str) -> Result<Target, Fault> {
    if number(server)? == 0 {
        return person(tag).map(Target::Person);
    }
    place(server, tag).map(Target::Place)
}

fn named(word: &str) -> Result<String, Fault> {
    unescaped(word).map(|name| name.into_owned()).ok_or(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> &'static str {
        Request::parse(line).expect_err(line)
    }

    #[test]
    fn a_text_is_the_rest_of_its_line() {
        let message = |line| match Request::parse(line) {
            Ok(Request::Message { to, text }) => (to.to_string(), text),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(message("MSG 0 5 hello there"), ("0 5".into(), "hello there"));
        assert_eq!(message("MSG 15 250  two spaces "), ("15 250".into(), " two spaces "));
        assert_eq!(message("MSG  015 0 "), ("15 0".into(), ""));
        for line in ["MSG", "MSG 0", "MSG 0 5", "MSG 0 x hi", "MSG -1 5 hi", "MSG +1 5 hi"] {
            refused(line);
        }
    }

    #[test]
    fn numbers_are_decimal_and_not_too_large() {
        for bad in [
            "GET 0 4294967296",
            "GET 0 0",
            "GET 0 99999999999999999999999",
            "GET 9223372036854775808 1",
            "GET 1 9223372036854775808",
            "GET 1 2 9223372036854775808",
            "GET 1 0x2",
            "GET ١ 2",
            "INV 1 2",
            "INV 0 1 0 2",
            "BYE 0 5",
            "NEW CHAN 0 name",
        ] {
            refused(bad);
        }
        let last = Request::parse("GET 9223372036854775807 0 7").unwrap();
        let of = Target::Place(Place::general(9_223_372_036_854_775_807));
        assert_eq!(last, Request::Get { of, third: Some(7) });
    }

    #[test]
    fn every_command_counts_its_words() {
        for (few, many) in [
            ("NEW", "NEW USR a b c"),
            ("NEW USR a", "NEW SERV a b"),
            ("NEW SERV", "NEW CHAN 1 a b"),
            ("NEW CHAN 1", "NEW SHOES"),
            ("IAM a", "IAM a b c"),
            ("GET 0", "GET 0 1 2 3"),
            ("INV 0", "INV 0 1 2"),
            ("INV 0 1 2", "INV 0 1 2 3 4"),
            ("JOIN 1", "JOIN 1 2 3"),
            ("BYE 1", "BYE 1 2 3"),
            ("DEL 1", "DEL 1 2 3"),
            ("RENAME a", "RENAME a 1 2 3"),
            ("PSW a", "PSW a b c"),
            ("PSD a", "PSD a b c"),
            ("JEU chess", "TOC TOC"),
            ("", "EXT now"),
            ("bye", "HELLO"),
            ("NEWFILE a 1 0", "NEWFILE a 1 0 1 2"),
            ("FILE 0 1 2", "FILE 0 1 2 YQ== YQ=="),
        ] {
            refused(few);
            refused(many);
        }
    }

    #[test]
    fn names_are_unescaped_and_passwords_are_not() {
        let new = Request::parse("NEW USR a%25%zz b%25").unwrap();
        assert_eq!(new, Request::NewUser { name: "a%%zz".into(), password: "b%25" });
        refused("RENAME %FF 1");
    }
}
