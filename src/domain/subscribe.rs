//! Taking up a chat: beginning a direct one before anything is written in it, joining a group that
//! lets one in, asking to be let in where it does not.
//!
//! A direct chat that somebody leaves is there again with the next message of either side. What they
//! had deleted of it stays deleted, and how far they had come they still are.

use crate::domain::chat::{self, Found};
use crate::domain::group::{Group, has_room_for_one_more};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId};
use crate::domain::member::{self, check_members};
use crate::domain::message::check_recipient;
use crate::domain::notice::{self, Matter};
use crate::domain::nouns::{Access, Chat, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{Act, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, subscription};
use crate::limits::{ASKERS_MAX, BEGUN_CHATS_MAX, CARD_BYTES_MAX};
use crate::store::{Look, StoreError, Tx};

/// See [`crate::domain::words::Command::Subscribe`].
pub(in crate::domain) fn subscribe(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    (want, note): (Option<Access>, &str),
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if note.len() > CARD_BYTES_MAX {
        return Err(Refusal::FieldTooLong.into());
    }
    let (chat, is_new) = match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
        Found::Account(other) if other == me.account => return Err(Refusal::NotAllowed.into()),
        Found::Account(other) => {
            let is_new = begin(tx, context, me, other, (want, note), news)?;
            (ChatId::direct(me.account, other), is_new)
        }
        Found::Group(chat) => {
            let id = chat.id;
            (id, enter(tx, context, me, *chat, (want, note), news)?)
        }
    };
    let view = subscription::of(tx, context, me.account, chat)?.ok_or(Refusal::NoSuchChat)?;
    Ok(Reply::Subscribed { subscription: Box::new(view), is_new })
}

/// Gives both sides of a direct chat the parts that they lack, and tells the other side where it
/// never had one. Whether the caller's is new.
fn begin(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    other: AccountNo,
    (want, note): (Option<Access>, &str),
    news: &mut Vec<News>,
) -> Result<bool, Fault> {
    let id = ChatId::direct(me.account, other);
    if tx.part(me.account, id)?.is_some() {
        if let Some(want) = want {
            member::want_direct(tx, context, me, other, want, news)?;
        }
        return Ok(false);
    }
    let want = match want.map(in_direct) {
        // To want nothing, or to block somebody, is no way to begin.
        Some(Access::NONE) => return Err(Refusal::BadAccess.into()),
        Some(want) => want,
        None => match in_direct(default_of(tx, me.account)?) {
            Access::NONE => Access::DIRECT,
            usual => usual,
        },
    };
    let mine = account::row(tx, me.account)?;
    check_recipient(tx, &mine, other)?;
    check_default(tx, other, id)?;
    has_room_for_one_begun(tx, me.account)?;
    let part = Member { begun: true, ..fresh(tx, me.account, id, want)? };
    if let Some(part) = take_up(tx, me.account, other, part, false)?.new {
        let act = if part.mode().is_member() { Act::Admitted } else { Act::Invited };
        let matter = Matter { act, chat: id, part, note };
        notice::leave(tx, context, me, other, matter, news)?;
    }
    Ok(true)
}

/// The letters that there are in a direct chat.
pub(in crate::domain) fn in_direct(access: Access) -> Access {
    Access(access.0 & Access::DIRECT.0)
}

/// What others may do in a direct chat that they begin with somebody.
pub(in crate::domain) fn default_of(
    look: &impl Look,
    who: AccountNo,
) -> Result<Access, StoreError> {
    let profile = look.profile(who)?;
    Ok(profile.and_then(|profile| profile.access).unwrap_or(Access::DIRECT))
}

/// Whether somebody who has no part in a direct chat may be given one: whoever wants none from
/// others is in those alone that they are in.
pub(in crate::domain) fn check_default(
    look: &impl Look,
    other: AccountNo,
    chat: ChatId,
) -> Result<(), Fault> {
    match look.part(other, chat)?.is_none() && default_of(look, other)?.is_banned() {
        true => Err(Refusal::NotAllowed.into()),
        false => Ok(()),
    }
}

/// What is taken up and left again counts as well.
fn has_room_for_one_begun(look: &impl Look, me: AccountNo) -> Result<(), Fault> {
    let mut silent = 0;
    for chat in look.begun(me)? {
        silent += usize::from(look.head(chat)?.id == MessageId(0));
    }
    if silent < BEGUN_CHATS_MAX { Ok(()) } else { Err(Refusal::TooManyChats.into()) }
}

/// A part in a direct chat for somebody who has none, as far as its end: what was said before
/// somebody left it is not unread when they are back.
pub(in crate::domain) fn fresh(
    tx: &Tx<'_>,
    who: AccountNo,
    chat: ChatId,
    want: Access,
) -> Result<Member, StoreError> {
    let head = tx.head(chat)?;
    let end = Mark { id: head.id, seq: head.seq };
    let had = tx.left(who, chat)?.unwrap_or_default();
    let part = chat::advanced(&had, end, end);
    Ok(Member { want, given: Access::DIRECT, left: false, ..part })
}

/// Both parts of a direct chat once they are there.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct Pair {
    pub(in crate::domain) mine: Member,
    /// The other side's, where it never had one.
    pub(in crate::domain) new: Option<Member>,
}

/// Writes both parts of a direct chat, the caller's as it is given. Whether an other side that has
/// left `comes_back`, is for the caller to say.
pub(in crate::domain) fn take_up(
    tx: &mut Tx<'_>,
    me: AccountNo,
    other: AccountNo,
    mine: Member,
    comes_back: bool,
) -> Result<Pair, StoreError> {
    let id = ChatId::direct(me, other);
    if me == other {
        tx.put_member(me, id, &mine)?;
        return Ok(Pair { mine, new: None });
    }
    let known = tx.member(other, id)?;
    let gone = tx.left(other, id)?;
    let theirs = match (known, gone) {
        (Some(theirs), _) => Some(theirs),
        (None, Some(_)) if !comes_back => None,
        (None, Some(gone)) => Some(fresh(tx, other, id, gone.want)?),
        (None, None) => Some(fresh(tx, other, id, in_direct(default_of(tx, other)?))?),
    };
    let hears = |part: &Member| part.mode().has(Access::READ);
    let unheard = theirs.is_some_and(|theirs| !hears(&theirs));
    let mine = Member { unheard, alone: theirs.is_none(), ..mine };
    tx.put_member(me, id, &mine)?;
    let now = theirs.map(|theirs| Member { unheard: !hears(&mine), alone: false, ..theirs });
    if let Some(now) = now.filter(|_| now != known) {
        tx.put_member(other, id, &now)?;
    }
    Ok(Pair { mine, new: now.filter(|_| known.is_none() && gone.is_none()) })
}

/// Takes up a part in a group; `false` for who is in it, or asks to be, already.
fn enter(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    chat: Chat,
    (want, note): (Option<Access>, &str),
    news: &mut Vec<News>,
) -> Result<bool, Fault> {
    let part = tx.member(me.account, chat.id)?;
    let had = part.unwrap_or_default();
    if had.given.is_banned() {
        return Err(Refusal::NotAllowed.into());
    }
    if want.is_some_and(|want| !want.is_member()) {
        return Err(Refusal::BadAccess.into());
    }
    let is_new = !had.want.is_member();
    let given = match part {
        Some(part) => part.given,
        None if chat.open => chat.default_access,
        None => Access::NONE,
    };
    let want = match want {
        Some(want) => want,
        None if had.want == Access::NONE => match given.without(Access::OWN) {
            Access::NONE => chat.default_access,
            usual => usual,
        },
        // By their own wish; they have to say that they have changed their mind.
        None if had.want.is_banned() => return Err(Refusal::NotAllowed.into()),
        None => return Ok(false),
    };
    let id = chat.id;
    if part.is_some() {
        member::want(tx, context, me, &Group { chat, part }, want, news)?;
    } else {
        if want.has(Access::OWN) {
            return Err(Refusal::BadAccess.into());
        }
        check_members(tx, context, id)?;
        has_room_for_one_more(tx, context, me.account)?;
        if given == Access::NONE {
            check_askers(tx, id)?;
        }
        let new = Member { want, given, ..had };
        let group = Group { chat, part: Some(new) };
        member::settle(tx, context, me, &group, me.account, new, news)?;
    }
    ask(tx, context, me, id, note, news)?;
    Ok(is_new)
}

fn check_askers(tx: &mut Tx<'_>, chat: ChatId) -> Result<(), Fault> {
    let asks = |(_, part): &&(AccountNo, Member)| part.given == Access::NONE;
    if tx.roster(chat)?.parts().iter().filter(asks).count() < ASKERS_MAX {
        Ok(())
    } else {
        Err(Refusal::TooManyMembers.into())
    }
}

/// Lets those decide who can, where the caller wants more than they are given: once, until they
/// have decided.
fn ask(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    chat: ChatId,
    note: &str,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let part = tx.member(me.account, chat)?.unwrap_or_default();
    if part.told || !notice::is_waiting(&part) {
        return Ok(());
    }
    let part = Member { told: true, ..part };
    tx.put_member(me.account, chat, &part)?;
    let matter = Matter { act: Act::Asked, chat, part, note };
    notice::ask_managers(tx, context, me, matter, news)
}

/// Ends the caller's part in a direct chat; see the module.
pub(in crate::domain) fn leave_direct(
    tx: &mut Tx<'_>,
    me: &Caller,
    other: AccountNo,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let id = ChatId::direct(me.account, other);
    let part = tx.member(me.account, id)?.ok_or(Refusal::NoSuchChat)?;
    // Where they had kept something about it, they keep it no longer.
    tx.put_card(me.account, id, "")?;
    tx.put_member(me.account, id, &Member { left: true, ..part })?;
    if let Some(theirs) = tx.member(other, id)? {
        tx.put_member(other, id, &Member { unheard: false, alone: true, ..theirs })?;
    }
    let chat = super::eyes::name(tx, other)?;
    let event = Event::ChatGone { chat };
    news.push(News::to_one(me.account, Some(me.key), event));
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests;
