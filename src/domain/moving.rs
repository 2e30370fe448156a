//! Accounts that come from another server, with what is theirs: profile, contacts, chats, messages,
//! marks.
//!
//! - An account comes **without a password, disabled.** So does everybody of this server whom its
//!   chats name and who is not here yet: their own import, or the operator, makes somebody of them.
//!   Who lives elsewhere becomes a correspondent there.
//! - **Nobody who is here is overwritten:** a login that has a password, or had one, is taken.
//! - A message keeps author, time and place among the others; ids are this server's. A record without
//!   a place of its own is known by the place that it follows, and as which of those that do. Said
//!   again, each is recognized by author and time, so that an import that was cut short can be
//!   repeated, and whoever comes second finds the chats with the first one there.
//! - What follows from the rest is not told but concluded: who hears nothing in a direct chat, where a
//!   chat begins that was deleted once. Notices do not come, so that nobody counts as asked.

use crate::domain::access::Access;
use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq, Timestamp};
use crate::domain::nouns::{
    Account, AccountState, Chat, ChatKind, Contact, Entry, Extra, Mark, Member, Message,
};
use crate::domain::subscribe::in_direct;
use crate::domain::subscription::EVERYBODY;
use crate::domain::words::moving::{MovedChat, MovedMark, MovedMember, MovedMessage, Piece};
use crate::domain::words::{Kind, Range, Refusal, Reply, Take};
use crate::domain::{Context, Fault, account, chat, profile};
use crate::limits::EXPORT_PAGE_COUNT;
use crate::store::{Look, StoreError, Tx};

pub(in crate::domain) fn take(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    piece: Piece,
) -> Result<Reply, Fault> {
    match piece {
        Piece::Account { login, created, profile, card, own_card } => {
            profile::check_card(&card)?;
            profile::check_card(&own_card)?;
            let no = begin(tx, context, login, created)?;
            if let Some(profile) = profile {
                tx.put_profile(no, &profile)?;
            }
            tx.put_card(EVERYBODY, ChatId::own(no), &card)?;
            tx.put_card(no, ChatId::own(no), &own_card)?;
        }
        Piece::Contacts { owner, contacts } => {
            let owner = newcomer(tx, context, owner)?;
            for contact in contacts {
                take_contact(tx, context, owner, &contact)?;
            }
        }
        Piece::Chat { owner, chat } => {
            let owner = newcomer(tx, context, owner)?;
            take_chat(tx, context, owner, *chat)?;
        }
        Piece::Messages { owner, chat, messages } => {
            let owner = newcomer(tx, context, owner)?;
            let chat = place(tx, owner, &chat)?.ok_or(Refusal::NoSuchChat)?;
            let there = known(tx, chat, &messages)?;
            for (known, moved) in there.iter().zip(&messages) {
                // Gone for the newcomer alone, and whoever came before has it.
                if moved.deleted && !known.deleted {
                    tx.hide(owner, chat, known.id)?;
                }
            }
            for message in messages.into_iter().skip(there.len()) {
                take_message(tx, context, owner, chat, message)?;
            }
        }
        Piece::Marks { owner, chat, marks } => {
            let owner = newcomer(tx, context, owner)?;
            let chat = place(tx, owner, &chat)?.ok_or(Refusal::NoSuchChat)?;
            for mark in marks {
                take_mark(tx, chat, &mark)?;
            }
        }
    }
    Ok(Reply::Done)
}

fn begin(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    created: Timestamp,
) -> Result<AccountNo, Fault> {
    let address = Address::local(login, context.home);
    if tx.chat_by_address(&address)?.is_some() {
        return Err(Refusal::LoginTaken.into());
    }
    match tx.account_by_address(&address)? {
        Some(no) if is_empty(&account::row(tx, no)?) => Ok(no),
        Some(_) => Err(Refusal::LoginTaken.into()),
        None => Ok(make(tx, context, address, created)?),
    }
}

/// Nobody has ever logged in to it: it came with somebody's chats, or is on its way.
fn is_empty(account: &Account) -> bool {
    account.state == AccountState::Disabled && account.verifier.is_none()
}

/// The account that is on its way.
fn newcomer(tx: &Tx<'_>, context: &Context<'_>, login: Login) -> Result<AccountNo, Fault> {
    let account = account::user(tx, context, login)?;
    if is_empty(&account) { Ok(account.no) } else { Err(Refusal::LoginTaken.into()) }
}

fn make(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    address: Address,
    created: Timestamp,
) -> Result<AccountNo, StoreError> {
    let no = tx.next_account()?;
    let state = match address.is_local(context.home) {
        true => AccountState::Disabled,
        false => AccountState::Remote,
    };
    let account = Account {
        no,
        address,
        verifier: None,
        state,
        created,
        public_id: unique(context, u64::from(no.0)),
    };
    tx.put_account(&account)?;
    Ok(no)
}

/// Random, and another one for each number of one command.
fn unique(context: &Context<'_>, number: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = context.chance;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Whoever has this address, made where nobody has it yet. `None`: it is a group's.
fn person(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    address: &Address,
) -> Result<Option<AccountNo>, StoreError> {
    if let Some(no) = tx.account_by_address(address)? {
        return Ok(Some(no));
    }
    if tx.chat_by_address(address)?.is_some() || address.chat.is_some() {
        return Ok(None);
    }
    make(tx, context, address.clone(), context.now).map(Some)
}

fn take_contact(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    owner: AccountNo,
    contact: &Contact,
) -> Result<(), StoreError> {
    // A list names nobody of this server who is not here.
    if contact.who.is_local(context.home) && chat::find(tx, &contact.who)?.is_none() {
        person(tx, context, &contact.who)?;
    }
    tx.put_contact(owner, contact)
}

/// A chat that the newcomer has a part in.
fn place(
    look: &impl Look,
    owner: AccountNo,
    address: &Address,
) -> Result<Option<ChatId>, StoreError> {
    let chat = match chat::find(look, address)? {
        Some(chat::Found::Account(other)) => ChatId::direct(owner, other),
        Some(chat::Found::Group(chat)) => chat.id,
        None => return Ok(None),
    };
    Ok(look.part(owner, chat)?.map(|_part| chat))
}

fn take_chat(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    owner: AccountNo,
    moved: MovedChat,
) -> Result<(), Fault> {
    profile::check_card(&moved.card)?;
    profile::check_card(&moved.own_card)?;
    if moved.kind == ChatKind::Direct {
        let other = person(tx, context, &moved.address)?.ok_or(Refusal::AlreadyThere)?;
        let chat = ChatId::direct(owner, other);
        for who in [owner, other] {
            take_side(tx, who, chat, &moved.members)?;
        }
        if owner != other {
            join_sides(tx, chat, [(owner, other), (other, owner)])?;
        }
        return Ok(tx.put_card(owner, chat, &moved.own_card)?);
    }
    let found = chat::find(tx, &moved.address)?;
    let is_taken = tx.chat_by_address(&moved.address)?.is_some();
    let chat = match found {
        // One that came before with somebody else.
        Some(chat::Found::Group(chat)) if chat.created == moved.created => chat.id,
        Some(_) => return Err(Refusal::AlreadyThere.into()),
        None if is_taken => return Err(Refusal::AlreadyThere.into()),
        None => make_group(tx, context, &moved)?,
    };
    for member in &moved.members {
        // A group's members are people of its server.
        if !member.who.is_local(context.home) {
            continue;
        }
        let Some(who) = person(tx, context, &member.who)? else { continue };
        if tx.part(who, chat)?.is_none() {
            let part = Member { want: member.want, given: member.given, ..Member::default() };
            tx.put_member(who, chat, &part)?;
        }
    }
    // Who owned it may not be here: somebody has to.
    if tx.roster(chat)?.owner().is_none() {
        let part = tx.part(owner, chat)?.unwrap_or_default();
        tx.put_member(owner, chat, &Member { want: Access::OWNER, given: Access::OWNER, ..part })?;
    }
    Ok(tx.put_card(owner, chat, &moved.own_card)?)
}

/// One side's part in a direct chat, where it has none here.
fn take_side(
    tx: &mut Tx<'_>,
    who: AccountNo,
    chat: ChatId,
    members: &[MovedMember],
) -> Result<(), StoreError> {
    if tx.part(who, chat)?.is_some() || tx.left(who, chat)?.is_some() {
        return Ok(());
    }
    let address = tx.account(who)?.map(|account| account.address);
    let Some(moved) = members.iter().find(|member| Some(&member.who) == address.as_ref()) else {
        return Ok(());
    };
    let (want, left) = (in_direct(moved.want), moved.left);
    let part = Member { want, given: Access::DIRECT, left, ..Member::default() };
    tx.put_member(who, chat, &part)
}

/// What each side of a direct chat knows of the other's part.
fn join_sides(
    tx: &mut Tx<'_>,
    chat: ChatId,
    sides: [(AccountNo, AccountNo); 2],
) -> Result<(), StoreError> {
    for (who, other) in sides {
        let (Some(part), theirs) = (tx.member(who, chat)?, tx.part(other, chat)?) else { continue };
        let unheard = theirs.is_some_and(|theirs| !theirs.mode().has(Access::READ));
        let joined = Member { unheard, alone: theirs.is_none(), ..part };
        if joined != part {
            tx.put_member(who, chat, &joined)?;
        }
    }
    Ok(())
}

fn make_group(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    moved: &MovedChat,
) -> Result<ChatId, StoreError> {
    let id = tx.next_chat()?;
    let space = match &moved.space {
        Some(space) if *space == moved.address => Some(id),
        Some(space) => match chat::find(tx, space)? {
            Some(chat::Found::Group(general)) if general.is_space() => Some(general.id),
            Some(_) | None => None,
        },
        None => None,
    };
    tx.put_chat(&Chat {
        id,
        kind: moved.kind,
        address: moved.address.clone(),
        name: moved.name.clone(),
        about: moved.about.clone(),
        default_access: moved.default_access,
        open: moved.open,
        space,
        removed: false,
        created: moved.created,
        changed: moved.created,
        public_id: unique(context, id.0),
        retention: 0,
    })?;
    if let Some(space) = space {
        tx.put_in_space(space, id)?;
    }
    tx.put_card(EVERYBODY, id, &moved.card)?;
    Ok(id)
}

/// Those messages of a batch that are there already, which are its first. Refuses one that does not go on where the chat
/// ends, or in whose place there is another one.
fn known(tx: &Tx<'_>, chat: ChatId, messages: &[MovedMessage]) -> Result<Vec<Known>, Fault> {
    let Some(first) = messages.first() else { return Ok(Vec::new()) };
    let mut before = None;
    for moved in messages {
        let has_place = moved.kind.has_place();
        let is_next = before.is_none_or(|(Seq(seq), after): (Seq, u32)| match has_place {
            true => seq.checked_add(1) == Some(moved.seq.0),
            false => (Seq(seq), after.checked_add(1)) == (moved.seq, Some(moved.after)),
        });
        if !is_next || has_place != (moved.after == 0) {
            return Err(Refusal::BadRange.into());
        }
        before = Some((moved.seq, moved.after));
    }
    let here = here_from(tx, chat, (first.seq, first.after), messages.len())?;
    for (at, moved) in messages.iter().enumerate() {
        let from = tx.account_by_address(&moved.from)?;
        if let Some((low, high)) = chat.pair()
            && from != Some(low)
            && from != Some(high)
        {
            return Err(Refusal::BadField.into());
        }
        if from.is_none() && tx.chat_by_address(&moved.from)?.is_some() {
            // The author's name is a group's here.
            return Err(Refusal::AlreadyThere.into());
        }
        let is_same = here.get(at).is_none_or(|here| {
            let is_author = Some(here.from) == from;
            is_author && (here.time, here.seq) == (moved.time, moved.seq)
        });
        if !is_same {
            return Err(Refusal::AlreadyThere.into());
        }
    }
    Ok(here)
}

/// What is known again of a record that is there.
struct Known {
    id: MessageId,
    from: AccountNo,
    time: Timestamp,
    seq: Seq,
    deleted: bool,
}

impl Known {
    fn new(message: &Message) -> Known {
        let Message { id, from, time, seq, .. } = *message;
        let deleted = message.extra.as_ref().is_some_and(|extra| extra.deleted);
        Known { id, from, time, seq, deleted }
    }
}

/// Up to `count` records of a chat from this place on; none where the chat ends right before it.
fn here_from(
    tx: &Tx<'_>,
    chat: ChatId,
    (seq, after): (Seq, u32),
    count: usize,
) -> Result<Vec<Known>, Fault> {
    let head = tx.head(chat)?;
    // The last that is not asked for.
    let mut last = match (seq, after) {
        (Seq(0), 0) => return Err(Refusal::BadRange.into()),
        (Seq(0), _) => MessageId(0),
        (seq, 0) if Some(seq.0) == head.seq.0.checked_add(1) => return Ok(Vec::new()),
        (seq, _) if seq > head.seq => return Err(Refusal::BadRange.into()),
        (seq, after) => {
            let id = tx.message_at(chat, seq)?.ok_or(Refusal::AlreadyThere)?;
            if after == 0 { MessageId(id.0.saturating_sub(1)) } else { id }
        }
    };
    let read = |after: MessageId, count: usize| {
        let count = u32::try_from(count).map_or(EXPORT_PAGE_COUNT, |n| n.min(EXPORT_PAGE_COUNT));
        let (before, take) = (MessageId::END, Take::First);
        let range = Range { after, before, since: None, count, take };
        tx.messages(chat, &range).map(|(messages, _)| messages)
    };
    let mut skipped = 0;
    let others = after.saturating_sub(1) as usize;
    while skipped < others {
        let messages = read(last, others - skipped)?;
        let Some(end) = messages.last() else { return Err(Refusal::BadRange.into()) };
        (last, skipped) = (end.id, skipped + messages.len());
    }
    let mut here = Vec::new();
    while here.len() < count {
        let messages = read(last, count - here.len())?;
        let Some(end) = messages.last() else { break };
        last = end.id;
        here.extend(messages.iter().map(Known::new));
    }
    Ok(here)
}

/// Puts a message behind the others.
fn take_message(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    owner: AccountNo,
    chat: ChatId,
    moved: MovedMessage,
) -> Result<(), Fault> {
    let from = person(tx, context, &moved.from)?.ok_or(Refusal::BadField)?;
    let other = |tx: &Tx<'_>, seq: Seq| match seq {
        Seq(0) => Ok::<_, StoreError>(MessageId(0)),
        seq => Ok(tx.message_at(chat, seq)?.unwrap_or_default()),
    };
    let person = match &moved.person {
        Some(address) => person(tx, context, address)?,
        None => None,
    };
    let place = match &moved.place {
        Some(address) => place(tx, owner, address)?,
        None => None,
    };
    let extra = Extra {
        reply_to: other(tx, moved.reply_to)?,
        target: other(tx, moved.target)?,
        person,
        place,
        access: moved.access,
        spans: moved.spans,
        mime: moved.mime,
        edited: moved.edited,
        deleted: moved.deleted,
        reach: moved.reach,
        // Those stay where they were left.
        notice: None,
        // Its bytes stay behind.
        file: None,
    };
    let extra = (extra != Extra::default()).then(|| Box::new(extra));
    let entry = Entry { kind: moved.kind, text: moved.text, cookie: None, extra };
    let record = tx.record(chat, from, moved.time, entry)?;
    // All that it has cleared stayed behind: the chat begins as it did there.
    if moved.kind == Kind::Cleared && moved.reach == Seq(0) && tx.floor(chat)?.is_none() {
        let first = tx.message_at(chat, Seq(1))?.unwrap_or(record.id);
        tx.put_floor(chat, Mark { id: first, seq: Seq(1) })?;
    }
    Ok(())
}

fn take_mark(tx: &mut Tx<'_>, chat: ChatId, moved: &MovedMark) -> Result<(), StoreError> {
    let Some(who) = tx.account_by_address(&moved.who)? else { return Ok(()) };
    // How far who has left had come, the other side still sees.
    let part = match tx.member(who, chat)? {
        None => tx.left(who, chat)?,
        part => part,
    };
    let Some(part) = part else { return Ok(()) };
    let last = tx.head(chat)?.seq;
    let mark = |tx: &Tx<'_>, seq: Seq| -> Result<Mark, StoreError> {
        let seq = seq.min(last);
        let id = if seq == Seq(0) { None } else { tx.message_at(chat, seq)? };
        Ok(id.map_or_else(Mark::default, |id| Mark { id, seq }))
    };
    let (delivered, read) = (mark(tx, moved.delivered)?, mark(tx, moved.read)?);
    let read = read.max(part.read);
    let part = Member { delivered: delivered.max(part.delivered).max(read), read, ..part };
    tx.put_member(who, chat, &part)
}

#[cfg(test)]
mod tests;
