//! Lines as pieces of an account, every address as it is after the move.

use std::sync::Arc;

use serde_json::Value;

use super::{CHATS, CONTACTS, KINDS, SPANS, meant};
use crate::domain::id::{Address, Login, Seq, Timestamp};
use crate::domain::nouns::{Access, Contact, Profile};
use crate::domain::words::moving::{MovedChat, MovedMark, MovedMember, MovedMessage, Piece};
use crate::domain::words::{ChatKind, ContactState, Kind, Span};

/// Reads what `msimd import` asks: `owner`, `from` (the other server's name), `all` (whether its
/// people are here now), `chat`, and whether it is a `group`, where a line belongs to one, and one or
/// more `lines` of one kind, of messages and marks with places as [`super::Places`] gives them.
pub fn piece(body: &Value, home: &str) -> Result<Piece, String> {
    let owner = Login::parse(text(body, "owner")?).map_err(|_| "owner is no login".to_owned())?;
    let from = text(body, "from")?;
    let all = body["all"] == true || from.eq_ignore_ascii_case(home);
    let moved = Moved { owner: &owner, from, home, all };
    let lines = body["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = lines.first().ok_or("there are no lines")?;
    let of_chat = || moved.chat_address(text(body, "chat")?, body["group"] == true);
    let each = |kind: &'static str| lines.iter().map(move |line| (&line[kind], kind));
    if first.get("account").is_some() {
        let created =
            Timestamp::from_secs(first["account"]["created"].as_u64().unwrap_or_default());
        let line = lines.iter().find_map(|line| line.get("profile"));
        let card = |key: &str| line.map(|line| short(line, key)).unwrap_or_default();
        let (card, own_card) = (card("card"), card("own_card"));
        let profile = line.map(profile);
        return Ok(Piece::Account { login: owner, created, profile, card, own_card });
    }
    if first.get("contact").is_some() {
        let contacts = each("contact").filter_map(|(line, _)| moved.contact(line).transpose());
        let contacts = contacts.collect::<Result<_, _>>()?;
        return Ok(Piece::Contacts { owner: owner.clone(), contacts });
    }
    if let Some(line) = first.get("chat") {
        let chat = Box::new(moved.chat(line)?);
        return Ok(Piece::Chat { owner: owner.clone(), chat });
    }
    if first.get("message").is_some() {
        let messages = each("message").map(|(line, _)| moved.message(line));
        let messages = messages.collect::<Result<_, _>>()?;
        return Ok(Piece::Messages { owner: owner.clone(), chat: of_chat()?, messages });
    }
    if first.get("mark").is_some() {
        let marks = each("mark").map(|(line, _)| moved.mark(line)).collect::<Result<_, _>>()?;
        return Ok(Piece::Marks { owner: owner.clone(), chat: of_chat()?, marks });
    }
    Err("a line is of no kind that this version knows".into())
}

/// Who is called how after the move.
struct Moved<'a> {
    owner: &'a Login,
    from: &'a str,
    home: &'a str,
    /// Everybody of the other server is here now, and not the owner alone.
    all: bool,
}

impl Moved<'_> {
    fn address(&self, text: &str) -> Result<Address, String> {
        let address = Address::parse(text, self.from);
        let address = address.map_err(|_| format!("{text:?} is no address"))?;
        let is_of_there = address.is_local(self.from);
        if is_of_there && (self.all || address.login == *self.owner) {
            return Ok(Address { host: self.home.to_ascii_lowercase().into(), ..address });
        }
        Ok(address)
    }

    /// A group comes along: it cannot be talked to where it was.
    fn chat_address(&self, text: &str, is_group: bool) -> Result<Address, String> {
        let address = self.address(text)?;
        let host = match is_group && address.is_local(self.from) {
            true => self.home.to_ascii_lowercase().into(),
            false => address.host,
        };
        Ok(Address { host, ..address })
    }

    /// `None` for what means nothing without the other server: a request that waits there.
    fn contact(&self, line: &Value) -> Result<Option<Contact>, String> {
        let state = meant(&CONTACTS, line["state"].as_str().unwrap_or("plain"));
        let mut state = state.ok_or("a contact's state is unknown")?;
        let who = self.address(text(line, "id")?)?;
        let mut unlisted = line["listed"] == false;
        if !self.all && matches!(state, ContactState::Requested | ContactState::Pending) {
            if unlisted {
                return Ok(None);
            }
            (state, unlisted) = (ContactState::Plain, false);
        }
        Ok(Some(Contact {
            who,
            name: short(line, "name"),
            group: texts(line, "group"),
            note: line["note"].as_str().map(Box::from),
            dialog: line["dialog"] == true,
            state,
            unlisted,
        }))
    }

    fn chat(&self, line: &Value) -> Result<MovedChat, String> {
        let kind = meant(&CHATS, text(line, "kind")?).ok_or("a chat's kind is unknown")?;
        let own = |text: &str| self.chat_address(text, kind != ChatKind::Direct);
        let mut members = Vec::new();
        for member in line["members"].as_array().into_iter().flatten() {
            members.push(MovedMember {
                who: self.address(text(member, "id")?)?,
                want: access(&member["want"])?,
                given: access(&member["given"])?,
                left: member["left"] == true,
            });
        }
        Ok(MovedChat {
            address: own(text(line, "address")?)?,
            kind,
            name: short(line, "name"),
            about: short(line, "about"),
            open: line["open"] == true,
            default_access: access(&line["default_mode"])?,
            space: line["space"].as_str().map(own).transpose()?,
            created: Timestamp(line["created_ms"].as_u64().unwrap_or_default()),
            card: short(line, "card"),
            own_card: short(line, "own_card"),
            members,
        })
    }

    fn message(&self, line: &Value) -> Result<MovedMessage, String> {
        let kind = meant(&KINDS, text(line, "type")?).ok_or("a message's type is unknown")?;
        let address = |key: &str| line[key].as_str().map(|text| self.address(text)).transpose();
        let mut spans = Vec::new();
        for span in line["spans"].as_array().into_iter().flatten() {
            let kind = meant(&SPANS, text(span, "kind")?).ok_or("a span's kind is unknown")?;
            let (start, end) = (number32(span, "start")?, number32(span, "end")?);
            let value = span["value"].as_str().map(Box::from);
            spans.push(Span { start, end, kind, value });
        }
        Ok(MovedMessage {
            seq: Seq(number32(line, "seq")?),
            after: number32(line, "after").unwrap_or_default(),
            from: self.address(text(line, "from")?)?,
            time: Timestamp(line["time_ms"].as_u64().ok_or("a message has no time")?),
            // What a file's message names stays on the other server.
            kind: if kind == Kind::File { Kind::Text } else { kind },
            text: Arc::from(line["text"].as_str().unwrap_or_default()),
            reply_to: Seq(number32(line, "reply_to").unwrap_or_default()),
            target: Seq(number32(line, "target").unwrap_or_default()),
            person: address("subject")?,
            place: address("place")?,
            access: line.get("mode").map(access).transpose()?,
            spans: spans.into(),
            mime: line["mime"].as_str().map(Box::from),
            edited: Timestamp(line["edited_ms"].as_u64().unwrap_or_default()),
            deleted: line["deleted"] == true,
            reach: Seq(number32(line, "reach").unwrap_or_default()),
        })
    }

    fn mark(&self, line: &Value) -> Result<MovedMark, String> {
        Ok(MovedMark {
            who: self.address(text(line, "id")?)?,
            delivered: Seq(number32(line, "delivered")?),
            read: Seq(number32(line, "read")?),
        })
    }
}

fn profile(line: &Value) -> Profile {
    Profile {
        name: short(line, "name"),
        short_name: short(line, "short_name"),
        full_name: short(line, "full_name"),
        note: short(line, "note"),
        photo: short(line, "photo"),
        gallery: texts(line, "gallery"),
        contacts: texts(line, "contacts"),
        birthday: short(line, "birthday"),
        changed: Timestamp(line["changed_ms"].as_u64().unwrap_or_default()),
        access: line["access"].as_str().and_then(Access::parse),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value[key].as_str().ok_or_else(|| format!("{key} has to be a text"))
}

fn short(value: &Value, key: &str) -> Box<str> {
    value[key].as_str().unwrap_or_default().into()
}

fn texts(value: &Value, key: &str) -> Vec<Box<str>> {
    let texts = value[key].as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(Box::from).collect()
}

fn number32(value: &Value, key: &str) -> Result<u32, String> {
    let number = value[key].as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("{key} has to be a whole number"))
}

fn access(value: &Value) -> Result<Access, String> {
    match value {
        Value::Null => Ok(Access::NONE),
        Value::String(letters) => {
            Access::parse(letters).ok_or_else(|| format!("{letters:?} are no letters"))
        }
        _ => Err("letters have to be a text".into()),
    }
}
