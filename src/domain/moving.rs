//! Accounts that come from another server, with what is theirs: profile, contacts, chats, messages,
//! marks.
//!
//! - An account comes **without a password, disabled.** So does everybody of this server whom its
//!   chats name and who is not here yet: their own import, or the operator, makes somebody of them.
//!   Who lives elsewhere becomes a correspondent there.
//! - **Nobody who is here is overwritten:** a login that has a password, or had one, is taken.
//! - A message keeps author, time and place among the others; ids are this server's. Said again, it
//!   is recognized by author and time, so that an import that was cut short can be repeated, and
//!   whoever comes second finds the chats with the first one there.

use crate::domain::access::Access;
use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq, Timestamp};
use crate::domain::nouns::{
    Account, AccountState, Chat, ChatKind, Contact, Entry, Extra, Mark, Member, Profile,
};
use crate::domain::words::moving::{MovedChat, MovedMark, MovedMessage, Piece};
use crate::domain::words::{Refusal, Reply};
use crate::domain::{Context, Fault, account, chat};
use crate::store::{Look, StoreError, Tx};

pub(in crate::domain) fn take(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    piece: Piece,
) -> Result<Reply, Fault> {
    match piece {
        Piece::Account { login, created, profile } => begin(tx, context, login, created, profile)?,
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
        Piece::Messages { owner, chat, base, messages } => {
            let owner = newcomer(tx, context, owner)?;
            let chat = place(tx, owner, &chat)?.ok_or(Refusal::NoSuchChat)?;
            let there = known(tx, (chat, base), &messages)?;
            for message in messages.into_iter().skip(there) {
                take_message(tx, context, owner, (chat, base), message)?;
            }
        }
        Piece::Marks { owner, chat, base, marks } => {
            let owner = newcomer(tx, context, owner)?;
            let chat = place(tx, owner, &chat)?.ok_or(Refusal::NoSuchChat)?;
            for mark in marks {
                take_mark(tx, (chat, base), &mark)?;
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
    profile: Option<Profile>,
) -> Result<(), Fault> {
    let address = Address::local(login, context.home);
    if tx.chat_by_address(&address)?.is_some() {
        return Err(Refusal::LoginTaken.into());
    }
    let no = match tx.account_by_address(&address)? {
        Some(no) if is_empty(&account::row(tx, no)?) => no,
        Some(_) => return Err(Refusal::LoginTaken.into()),
        None => make(tx, context, address, created)?,
    };
    if let Some(profile) = profile {
        tx.put_profile(no, &profile)?;
    }
    Ok(())
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
    if moved.kind == ChatKind::Direct {
        let other = person(tx, context, &moved.address)?.ok_or(Refusal::AlreadyThere)?;
        let chat = ChatId::direct(owner, other);
        let part = Member { want: Access::DIRECT, given: Access::DIRECT, ..Member::default() };
        for who in [owner, other] {
            if tx.part(who, chat)?.is_none() {
                tx.put_member(who, chat, &part)?;
            }
        }
        return Ok(());
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
    Ok(id)
}

/// How many messages of a batch are there already. Refuses one that does not go on where the chat
/// ends, or in whose place there is another one.
fn known(
    tx: &Tx<'_>,
    (chat, base): (ChatId, Seq),
    messages: &[MovedMessage],
) -> Result<usize, Fault> {
    let head = tx.head(chat)?.seq;
    let Some(first) = messages.first().map(|first| first.seq) else { return Ok(0) };
    if here(first, base).is_some_and(|seq| head.0 + 1 < seq.0) {
        return Err(Refusal::BadRange.into());
    }
    let mut there = 0;
    for (expected, moved) in (first.0..).zip(messages) {
        let seq = here(moved.seq, base).filter(|_| moved.seq.0 == expected);
        let seq = seq.ok_or(Refusal::BadRange)?;
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
        if seq <= head {
            let found = match tx.message_at(chat, seq)? {
                Some(id) => tx.message(chat, id)?,
                None => None,
            };
            let is_same =
                found.is_some_and(|found| (Some(found.from), found.time) == (from, moved.time));
            if !is_same {
                return Err(Refusal::AlreadyThere.into());
            }
            there += 1;
        }
    }
    Ok(there)
}

/// Puts a message behind the others.
fn take_message(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    owner: AccountNo,
    (chat, base): (ChatId, Seq),
    moved: MovedMessage,
) -> Result<(), Fault> {
    let from = person(tx, context, &moved.from)?.ok_or(Refusal::BadField)?;
    let other = |tx: &Tx<'_>, seq: Seq| match here(seq, base) {
        Some(seq) => Ok::<_, StoreError>(tx.message_at(chat, seq)?.unwrap_or_default()),
        None => Ok(MessageId(0)),
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
        // Notices stay where they were left, and nobody hears of an old clearing.
        reach: Seq(0),
        notice: None,
    };
    let extra = (extra != Extra::default()).then(|| Box::new(extra));
    let entry = Entry { kind: moved.kind, text: moved.text, cookie: None, extra };
    tx.record(chat, from, moved.time, entry)?;
    Ok(())
}

/// A place of the other server as one of this: `None` before the first that moved.
fn here(seq: Seq, base: Seq) -> Option<Seq> {
    seq.0.checked_sub(base.0).filter(|seq| *seq > 0).map(Seq)
}

fn take_mark(
    tx: &mut Tx<'_>,
    (chat, base): (ChatId, Seq),
    moved: &MovedMark,
) -> Result<(), StoreError> {
    let Some(who) = tx.account_by_address(&moved.who)? else { return Ok(()) };
    let Some(part) = tx.member(who, chat)? else { return Ok(()) };
    let last = tx.head(chat)?.seq;
    let mark = |tx: &Tx<'_>, seq: Seq| -> Result<Mark, StoreError> {
        let Some(seq) = here(seq, base) else { return Ok(Mark::default()) };
        let seq = seq.min(last);
        let id = tx.message_at(chat, seq)?;
        Ok(id.map_or_else(Mark::default, |id| Mark { id, seq }))
    };
    let (delivered, read) = (mark(tx, moved.delivered)?, mark(tx, moved.read)?);
    let read = read.max(part.read);
    let part = Member { delivered: delivered.max(part.delivered).max(read), read, ..part };
    tx.put_member(who, chat, &part)
}

#[cfg(test)]
mod tests;
