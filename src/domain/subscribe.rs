//! Taking up a chat: beginning a direct one before anything is written in it, joining a group that
//! lets one in, asking to be let in where it does not.

use crate::domain::chat::{self, Found};
use crate::domain::group::{Group, has_room_for_one_more};
use crate::domain::id::{AccountNo, Address, ChatId};
use crate::domain::member::{self, check_members};
use crate::domain::message::check_recipient;
use crate::domain::notice::{self, Matter};
use crate::domain::nouns::{Access, Chat, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::words::{Act, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, subscription};
use crate::limits::CARD_BYTES_MAX;
use crate::store::{Look, StoreError, Tx};

/// See [`crate::domain::words::Command::Subscribe`].
pub(in crate::domain) fn subscribe(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    want: Option<Access>,
    note: &str,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if note.len() > CARD_BYTES_MAX {
        return Err(Refusal::FieldTooLong.into());
    }
    let (chat, is_new) = match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
        Found::Account(other) if other == me.account => return Err(Refusal::NotAllowed.into()),
        Found::Account(other) => {
            let is_new = begin(tx, context, me, other, want, note, news)?;
            (ChatId::direct(me.account, other), is_new)
        }
        Found::Group(chat) => {
            let id = chat.id;
            (id, enter(tx, context, me, *chat, want, note, news)?)
        }
    };
    let view = subscription::of(tx, context, me.account, chat)?.ok_or(Refusal::NoSuchChat)?;
    Ok(Reply::Subscribed { subscription: Box::new(view), is_new })
}

/// Gives both sides of a direct chat the parts that they lack, and tells the other side where it
/// lacked its own. Whether the caller's is new.
fn begin(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    other: AccountNo,
    want: Option<Access>,
    note: &str,
    news: &mut Vec<News>,
) -> Result<bool, Fault> {
    let id = ChatId::direct(me.account, other);
    if tx.part(me.account, id)?.is_some() {
        if let Some(want) = want {
            member::want_direct(tx, context, me, other, want, news)?;
        }
        return Ok(false);
    }
    let mine = account::row(tx, me.account)?;
    check_recipient(tx, &mine, other)?;
    has_room_for_one_more(tx, context, me.account)?;
    let usual = match default_of(tx, me.account)?.and(Access::DIRECT) {
        Access::NONE => Access::DIRECT,
        usual => usual,
    };
    let want = want.map_or(usual, |want| Access(want.0 & Access::DIRECT.0));
    let theirs = default_of(tx, other)?;
    let pair = take_up(tx, me.account, other, None, want)?;
    // Whoever wants nobody to begin anything with them is not even told.
    if let Some(part) = pair.new.filter(|_| !theirs.is_banned()) {
        let act = if part.mode().is_member() { Act::Admitted } else { Act::Invited };
        let matter = Matter { act, chat: id, part, note };
        notice::leave(tx, context, me, other, matter, news)?;
    }
    Ok(true)
}

/// What others may do in a direct chat that they begin with somebody.
pub(in crate::domain) fn default_of(
    look: &impl Look,
    who: AccountNo,
) -> Result<Access, StoreError> {
    let profile = look.profile(who)?;
    Ok(profile.and_then(|profile| profile.access).unwrap_or(Access::DIRECT))
}

/// Both parts of a direct chat once both are there.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct Pair {
    pub(in crate::domain) mine: Member,
    /// The other side's, where it was not there before.
    pub(in crate::domain) new: Option<Member>,
}

/// Writes the parts of a direct chat that are not there, as far as its end: what was said before
/// somebody left it is not unread when they are back. `part`: the caller's, where there is one;
/// `want`: for where there is none.
pub(in crate::domain) fn take_up(
    tx: &mut Tx<'_>,
    me: AccountNo,
    other: AccountNo,
    part: Option<Member>,
    want: Access,
) -> Result<Pair, StoreError> {
    let id = ChatId::direct(me, other);
    let head = tx.head(id)?;
    let end = Mark { id: head.id, seq: head.seq };
    let given = Access::DIRECT;
    let new = |want| Member { want, given, delivered: end, read: end, ..Member::default() };
    let mine = part.unwrap_or_else(|| new(want));
    if me == other {
        tx.put_member(me, id, &mine)?;
        return Ok(Pair { mine, new: None });
    }
    let known = tx.member(other, id)?;
    let theirs = match known {
        Some(theirs) => theirs,
        None => new(Access(default_of(tx, other)?.0 & Access::DIRECT.0)),
    };
    let hears = |part: &Member| part.mode().has(Access::READ);
    let mine = Member { unheard: !hears(&theirs), alone: false, ..mine };
    tx.put_member(me, id, &mine)?;
    let now = Member { unheard: !hears(&mine), alone: false, ..theirs };
    if known != Some(now) {
        tx.put_member(other, id, &now)?;
    }
    Ok(Pair { mine, new: known.is_none().then_some(now) })
}

/// Takes up a part in a group; `false` where there was one already.
fn enter(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    chat: Chat,
    want: Option<Access>,
    note: &str,
    news: &mut Vec<News>,
) -> Result<bool, Fault> {
    let part = tx.member(me.account, chat.id)?;
    let had = part.unwrap_or_default();
    if had.given.is_banned() {
        return Err(Refusal::NotAllowed.into());
    }
    let id = chat.id;
    if had.want != Access::NONE {
        let is_another = want.filter(|want| *want != had.want);
        match is_another {
            // By their own wish; they have to say that they have changed their mind.
            None if had.want.is_banned() => return Err(Refusal::NotAllowed.into()),
            None => {}
            Some(want) => {
                let group = Group { chat, part };
                member::want(tx, context, me, &group, want, news)?;
                ask(tx, context, me, id, note, news)?;
            }
        }
        return Ok(false);
    }
    let given = match part {
        Some(part) => part.given,
        None if chat.open => chat.default_access,
        None => Access::NONE,
    };
    let usual = if given == Access::NONE { chat.default_access } else { given };
    let want = want.unwrap_or(usual.without(Access::OWN));
    if want.has(Access::OWN) && !given.has(Access::OWN) {
        return Err(Refusal::BadAccess.into());
    }
    if part.is_none() {
        check_members(tx, context, id)?;
    }
    has_room_for_one_more(tx, context, me.account)?;
    let new = Member { want, given, ..had };
    let group = Group { chat, part: Some(new) };
    member::settle(tx, context, me, &group, me.account, new, news)?;
    ask(tx, context, me, id, note, news)?;
    Ok(true)
}

/// Lets those decide who can, where the caller wants more than they are given.
fn ask(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    chat: ChatId,
    note: &str,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let part = tx.part(me.account, chat)?.unwrap_or_default();
    if !notice::is_waiting(&part) {
        return Ok(());
    }
    let matter = Matter { act: Act::Asked, chat, part, note };
    notice::ask_managers(tx, context, me, matter, news)
}

/// Ends the caller's part in a direct chat. It is there again with the next message of either side.
pub(in crate::domain) fn leave_direct(
    tx: &mut Tx<'_>,
    me: &Caller,
    other: AccountNo,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let id = ChatId::direct(me.account, other);
    if tx.part(me.account, id)?.is_none() {
        return Err(Refusal::NoSuchChat.into());
    }
    // Where they had kept something about it, they keep it no longer.
    tx.put_card(me.account, id, "")?;
    tx.remove_member(me.account, id)?;
    if let Some(theirs) = tx.member(other, id)? {
        tx.put_member(other, id, &Member { unheard: false, alone: true, ..theirs })?;
    }
    let chat = super::eyes::name(tx, other)?;
    let event = Event::ChatGone { chat };
    news.push(News::to_one(me.account, Some(me.key), event));
    Ok(Reply::Done)
}
