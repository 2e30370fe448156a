//! An account's lines, a page at a time.

use serde_json::{Map, Value, json};

use super::{CHATS, CONTACTS, FORMAT, KINDS, SPANS, word};
use crate::admin::when;
use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq};
use crate::domain::nouns::{AccountState, Contact, Extra, Member, Message, Profile};
use crate::domain::words::{ChatKind, Range, Take};
use crate::limits::EXPORT_PAGE_COUNT;
use crate::store::{Look, Reader, Snapshot, StoreError};

/// Whose cards are those that everybody sees.
const EVERYBODY: AccountNo = AccountNo(0);

/// Why there is no page.
#[derive(Debug)]
pub enum ExportError {
    NoSuchAccount,
    Store(StoreError),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> ExportError {
        ExportError::Store(error)
    }
}

/// Where a page begins: a chat, the last message of it that was told, and how many came before that
/// one with the same seq.
#[derive(Clone, Copy, Debug)]
struct Place {
    chat: ChatId,
    after: MessageId,
    behind: u32,
}

/// The next lines: `{"lines":[…],"next":…}`, the first ones for `null`, the last where `next` is
/// `null`.
pub fn page(
    reader: &Reader,
    home: &str,
    login: &Login,
    from: &Value,
) -> Result<Value, ExportError> {
    let address = Address::local(login.clone(), home);
    let found = reader.read(|here| {
        let Some(no) = here.account_by_address(&address)? else { return Ok(None) };
        let account = here.account(no)?.filter(|account| match account.state {
            AccountState::Active | AccountState::Disabled => true,
            AccountState::Removed | AccountState::Remote => false,
        });
        let Some(account) = account else { return Ok(None) };
        let author = Author { here, home, me: no };
        let mut lines = Vec::new();
        let next = match place(from) {
            None => {
                let created = account.created.secs();
                author.begin(&account.address, created, &mut lines)?;
                author.chat_after(None)?
            }
            Some(place) => author.chat(place, &mut lines)?,
        };
        Ok(Some(json!({
            "lines": lines,
            // As texts: programs that read JSON round numbers above 2^53.
            "next": next.map(|p| json!([p.chat.0, p.after.0, p.behind.into()].map(|n| n.to_string()))),
        })))
    })?;
    found.ok_or(ExportError::NoSuchAccount)
}

fn place(from: &Value) -> Option<Place> {
    let number = |at: usize| from.get(at)?.as_str()?.parse::<u64>().ok();
    let behind = number(2).and_then(|behind| u32::try_from(behind).ok()).unwrap_or(0);
    Some(Place { chat: ChatId(number(0)?), after: MessageId(number(1)?), behind })
}

struct Author<'a> {
    here: &'a Snapshot,
    home: &'a str,
    me: AccountNo,
}

impl Author<'_> {
    /// The account itself.
    fn begin(
        &self,
        address: &Address,
        created: u64,
        lines: &mut Vec<Value>,
    ) -> Result<(), StoreError> {
        lines.push(json!({ "account": {
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "server_name": self.home,
            "address": address.to_string(),
            "login": address.login.as_str(),
            "created": created,
            "exported": when::now(),
        } }));
        let own = ChatId::own(self.me);
        let cards = [
            ("card", self.here.card(EVERYBODY, own)?),
            ("own_card", self.here.card(self.me, own)?),
        ];
        let profile = self.here.profile(self.me)?;
        if profile.is_some() || cards.iter().any(|(_, card)| card.is_some()) {
            let mut json = profile_json(&profile.unwrap_or_default());
            put_cards(&mut json, cards);
            lines.push(json!({ "profile": json }));
        }
        for contact in self.here.contacts(self.me, None, usize::MAX)? {
            lines.push(json!({ "contact": contact_json(&contact) }));
        }
        Ok(())
    }

    /// The next chat: a direct one with something in it, any group.
    fn chat_after(&self, last: Option<ChatId>) -> Result<Option<Place>, StoreError> {
        for (chat, part) in self.here.chats_of(self.me)? {
            if last.is_some_and(|last| chat <= last) || (chat.pair().is_none() && !chat.is_group())
            {
                continue;
            }
            if let Some(after) = self.horizon(chat, &part)? {
                return Ok(Some(Place { chat, after, behind: 0 }));
            }
        }
        Ok(None)
    }

    /// What lies at or before it is gone; `None` where all of it is, or may not be read.
    fn horizon(&self, chat: ChatId, part: &Member) -> Result<Option<MessageId>, StoreError> {
        use crate::domain::nouns::Access;
        if chat.is_group() {
            let removed = self.here.chat(chat)?.is_none_or(|chat| chat.removed);
            if removed || !part.mode().has(Access::READ) {
                return Ok(None);
            }
        }
        let floor = self.here.floor(chat)?.unwrap_or_default();
        let horizon = part.cleared.max(MessageId(floor.id.0.saturating_sub(1)));
        // A group is one's own though one has deleted all that was said in it.
        Ok((chat.is_group() || horizon < self.here.head(chat)?.id).then_some(horizon))
    }

    /// A page of a chat, which begins with the chat's own line.
    fn chat(&self, place: Place, lines: &mut Vec<Value>) -> Result<Option<Place>, StoreError> {
        let Place { chat, after, behind } = place;
        let Some(part) = self.here.part(self.me, chat)? else { return self.chat_after(Some(chat)) };
        let Some(horizon) = self.horizon(chat, &part)? else { return self.chat_after(Some(chat)) };
        let after = after.max(horizon);
        let range = Range {
            after,
            before: MessageId::END,
            since: None,
            count: EXPORT_PAGE_COUNT,
            take: Take::First,
        };
        let (messages, more) = self.here.messages(chat, &range)?;
        if after == horizon {
            let base = match messages.first() {
                Some(first) => before(first),
                None => self.here.head(chat)?.seq,
            };
            lines.push(json!({ "chat": self.chat_json(chat, base)? }));
        }
        let mut last = match after == horizon {
            true => messages.first().map(|first| (before(first), 0)),
            false => self.here.message(chat, after)?.map(|last| (last.seq, behind)),
        }
        .unwrap_or_default();
        let end = messages.last().map(|last| MessageId(last.id.0.saturating_add(1)));
        let end = end.unwrap_or(MessageId::END);
        let hidden = self.here.hidden(self.me, chat, after, end)?;
        for message in &messages {
            let is_hidden = hidden.binary_search(&message.id).is_ok();
            last = (message.seq, if message.seq == last.0 { last.1 + 1 } else { 0 });
            lines.push(json!({ "message": self.message_json(message, last.1, is_hidden)? }));
        }
        match (more, messages.last()) {
            (true, Some(message)) => Ok(Some(Place { chat, after: message.id, behind: last.1 })),
            _ => self.chat_after(Some(chat)),
        }
    }

    fn name(&self, no: AccountNo) -> Result<String, StoreError> {
        // An account that is named and not there has lost its name, not its messages.
        let account = self.here.account(no)?;
        Ok(account
            .map_or_else(|| format!("account-{}@{}", no.0, self.home), |a| a.address.to_string()))
    }

    fn chat_name(&self, chat: ChatId) -> Result<Option<String>, StoreError> {
        if let Some(other) = chat.other(self.me) {
            return self.name(other).map(Some);
        }
        Ok(self.here.chat(chat)?.map(|chat| chat.address.to_string()))
    }

    fn chat_json(&self, id: ChatId, Seq(base): Seq) -> Result<Value, StoreError> {
        let mut json = Map::new();
        json.insert("address".into(), self.chat_name(id)?.into());
        json.insert("base".into(), base.into());
        let members = match id.pair() {
            Some((low, high)) => {
                json.insert("kind".into(), word(&CHATS, ChatKind::Direct).into());
                if low == high { vec![low] } else { vec![low, high] }
            }
            None => self.here.members_of(id)?,
        };
        if let Some(chat) = self.here.chat(id)? {
            json.insert("kind".into(), word(&CHATS, chat.kind).into());
            json.insert("name".into(), chat.name.as_ref().into());
            json.insert("about".into(), chat.about.as_ref().into());
            json.insert("open".into(), chat.open.into());
            json.insert("default_mode".into(), chat.default_access.to_string().into());
            json.insert("created_ms".into(), chat.created.0.into());
            let space = chat.space.map(|space| self.chat_name(space)).transpose()?.flatten();
            json.insert("space".into(), space.into());
        }
        let mut parts = Vec::new();
        for who in members {
            let part = match self.here.part(who, id)? {
                None if !id.is_group() => self.here.left(who, id)?,
                part => part,
            };
            let Some(part) = part else { continue };
            let mut json = json!({
                "id": self.name(who)?,
                "want": part.want.to_string(),
                "given": part.given.to_string(),
                "delivered": part.delivered.seq.0,
                "read": part.read.seq.0,
            });
            if part.left {
                json["left"] = true.into();
            }
            parts.push(json);
        }
        json.insert("members".into(), parts.into());
        let mut json = json.into();
        let public = if id.is_group() { self.here.card(EVERYBODY, id)? } else { None };
        put_cards(&mut json, [("card", public), ("own_card", self.here.card(self.me, id)?)]);
        Ok(json)
    }

    fn message_json(
        &self,
        message: &Message,
        after: u32,
        is_hidden: bool,
    ) -> Result<Value, StoreError> {
        let mut json = Map::new();
        json.insert("seq".into(), message.seq.0.into());
        if after > 0 {
            json.insert("after".into(), after.into());
        }
        json.insert("id".into(), message.id.0.into());
        json.insert("from".into(), self.name(message.from)?.into());
        json.insert("time_ms".into(), message.time.0.into());
        json.insert("type".into(), word(&KINDS, message.kind).into());
        if is_hidden {
            json.insert("deleted".into(), true.into());
            return Ok(json.into());
        }
        if !message.text.is_empty() {
            json.insert("text".into(), message.text.as_ref().into());
        }
        if let Some(extra) = &message.extra {
            self.extra_json(message.chat, extra, &mut json)?;
        }
        Ok(json.into())
    }

    fn extra_json(
        &self,
        chat: ChatId,
        extra: &Extra,
        json: &mut Map<String, Value>,
    ) -> Result<(), StoreError> {
        for (name, id) in [("reply_to", extra.reply_to), ("target", extra.target)] {
            // What has no place would be mistaken for the one before it.
            if id != MessageId(0)
                && let Some(message) = self.here.message(chat, id)?
                && message.kind.has_place()
            {
                json.insert(name.into(), message.seq.0.into());
            }
        }
        if let Some(person) = extra.person {
            json.insert("subject".into(), self.name(person)?.into());
        }
        if let Some(place) = extra.place {
            json.insert("place".into(), self.chat_name(place)?.into());
        }
        if let Some(access) = extra.access {
            json.insert("mode".into(), access.to_string().into());
        }
        let spans: Vec<Value> = extra
            .spans
            .iter()
            .map(|span| {
                let kind = word(&SPANS, span.kind);
                json!({ "start": span.start, "end": span.end, "kind": kind, "value": span.value })
            })
            .collect();
        if !spans.is_empty() {
            json.insert("spans".into(), spans.into());
        }
        if let Some(mime) = &extra.mime {
            json.insert("mime".into(), mime.as_ref().into());
        }
        if extra.edited.0 > 0 {
            json.insert("edited_ms".into(), extra.edited.0.into());
        }
        if extra.deleted {
            json.insert("deleted".into(), true.into());
        }
        if extra.reach > Seq(0) {
            json.insert("reach".into(), extra.reach.0.into());
        }
        Ok(())
    }
}

/// How many places lie before the first message that is told.
fn before(first: &Message) -> Seq {
    Seq(first.seq.0.saturating_sub(u32::from(first.kind.has_place())))
}

fn put_cards(json: &mut Value, cards: [(&str, Option<Box<str>>); 2]) {
    for (name, card) in cards {
        if let Some(card) = card {
            json[name] = card.as_ref().into();
        }
    }
}

fn profile_json(profile: &Profile) -> Value {
    json!({
        "name": profile.name,
        "short_name": profile.short_name,
        "full_name": profile.full_name,
        "note": profile.note,
        "photo": profile.photo,
        "gallery": profile.gallery,
        "contacts": profile.contacts,
        "birthday": profile.birthday,
        "changed_ms": profile.changed.0,
        "access": profile.access.map(|access| access.to_string()),
    })
}

fn contact_json(contact: &Contact) -> Value {
    json!({
        "id": contact.who.to_string(),
        "name": contact.name,
        "group": contact.group,
        "note": contact.note,
        "dialog": contact.dialog,
        "state": word(&CONTACTS, contact.state),
        "listed": !contact.unlisted,
    })
}
