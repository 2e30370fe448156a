//! Chats and those in them as protocols see them that know places and not ids.

use crate::domain::chat::{self, Found, is_notes};
use crate::domain::eyes::name;
use crate::domain::group::{Group, may_know};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq, Timestamp};
use crate::domain::nouns::{Access, Member};
use crate::domain::presence::{self, Seen};
use crate::domain::profile::face;
use crate::domain::session::Caller;
use crate::domain::words::{
    ChatKind, Face, MyselfView, Refusal, Reply, SubscriberView, SubscriptionView,
};
use crate::domain::{Context, Fault, account};
use crate::limits::{SUBSCRIBERS_COUNT_MAX, SUBSCRIPTIONS_COUNT_MAX};
use crate::store::{Look, StoreError, Tx};

/// Who a card is for that everybody sees.
pub(in crate::domain) const EVERYBODY: AccountNo = AccountNo(0);

/// The caller's chats by number. Those with nothing in them yet are there, too; what one keeps for
/// oneself in a chat with oneself is none of them.
pub(in crate::domain) fn all(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    after: Option<ChatId>,
    count: u32,
) -> Result<Reply, Fault> {
    let count = count.min(SUBSCRIPTIONS_COUNT_MAX) as usize;
    let mut chats = tx.chats_of(me.account)?;
    chats.retain(|(chat, _)| after.is_none_or(|after| *chat > after) && !is_notes(*chat));
    let mut subscriptions = Vec::with_capacity(chats.len().min(count));
    for (chat, _) in chats {
        // What they may not know of takes no place: nobody could ask for what comes after it.
        let Some(view) = of(tx, context, me.account, chat)? else { continue };
        if subscriptions.len() == count {
            return Ok(Reply::Subscriptions { subscriptions, more: true });
        }
        subscriptions.push(view);
    }
    Ok(Reply::Subscriptions { subscriptions, more: false })
}

/// One chat. Of a direct one that was never begun, what there would be.
pub(in crate::domain) fn one(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
) -> Result<Reply, Fault> {
    let chat = match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
        Found::Account(other) if other == me.account => return Err(Refusal::NotAllowed.into()),
        Found::Account(other) => ChatId::direct(me.account, other),
        Found::Group(chat) => chat.id,
    };
    let view = of(tx, context, me.account, chat)?.ok_or(Refusal::NoSuchChat)?;
    Ok(Reply::Subscriptions { subscriptions: vec![view], more: false })
}

/// A chat as `me` has it; `None` where they may not know of it.
pub(in crate::domain) fn of(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: AccountNo,
    chat: ChatId,
) -> Result<Option<SubscriptionView>, StoreError> {
    let part = tx.member(me, chat)?;
    let mut view = match chat.other(me) {
        Some(other) => direct(tx, context, me, (chat, other), part)?,
        None => match group(tx, context, (chat, part))? {
            Some(view) => view,
            None => return Ok(None),
        },
    };
    view.card = tx.card(me, chat)?;
    let Some(part) = part else { return Ok(Some(view)) };
    if let Some(horizon) = chat::horizon(tx, chat, &part)? {
        view.last = tx.head(chat)?.seq;
        (view.read, view.received) = (part.read.seq, part.delivered.seq);
        view.cleared = gone(tx, chat, horizon)?;
    }
    Ok(Some(view))
}

fn direct(
    tx: &Tx<'_>,
    context: &Context<'_>,
    me: AccountNo,
    (id, other): (ChatId, AccountNo),
    part: Option<Member>,
) -> Result<SubscriptionView, StoreError> {
    let (mine, theirs) = (account::row(tx, me)?, account::row(tx, other)?);
    let profile = tx.profile(other)?.unwrap_or_default();
    let seen = presence::of(tx, &context.scene(), me, other)?;
    let part = match part {
        Some(part) => Some((wanted(tx, me, other, &part)?, part.given)),
        None => None,
    };
    let last_seen = match seen {
        // Whoever is here is so with what they use now, not with what they had last time.
        Some(Seen { online: true, at: Some(at) }) => Some((at, context.here.agent(other))),
        Some(Seen { online: false, at: Some(at) }) => Some((at, tx.agent(other)?)),
        Some(Seen { at: None, .. }) | None => None,
    };
    Ok(SubscriptionView {
        chat: theirs.called(),
        id,
        kind: ChatKind::Direct,
        part,
        // Nothing says when it began; not before there were both.
        created: mine.created.max(theirs.created),
        updated: theirs.created.max(mine.created).max(profile.changed),
        open: false,
        default_access: Access::DIRECT,
        last: Seq(0),
        read: Seq(0),
        received: Seq(0),
        cleared: Seq(0),
        face: face(tx, other)?,
        card: None,
        online: seen.is_some_and(|seen| seen.online),
        last_seen,
    })
}

/// What `me` wants of a direct chat: a block is the X of it.
fn wanted(
    look: &impl Look,
    me: AccountNo,
    other: AccountNo,
    part: &Member,
) -> Result<Access, StoreError> {
    let theirs = account::row(look, other)?.address;
    let blocks = super::contact::is_blocked(look, me, &theirs)?;
    Ok(if blocks { Access::BANNED } else { part.want })
}

fn group(
    tx: &Tx<'_>,
    context: &Context<'_>,
    (id, part): (ChatId, Option<Member>),
) -> Result<Option<SubscriptionView>, StoreError> {
    let Some(chat) = tx.chat(id)?.filter(|chat| !chat.removed) else { return Ok(None) };
    let group = Group { chat, part };
    if !is_known(&group) {
        return Ok(None);
    }
    // Who only asks to be let in sees nothing of it but that it is there.
    let face = match may_know(&group) {
        true => Face { card: tx.card(EVERYBODY, id)?, name: group.chat.name.clone() },
        false => Face::default(),
    };
    let is_in = group.mode().is_member();
    let chat = group.chat;
    Ok(Some(SubscriptionView {
        chat: chat.called(),
        id,
        kind: chat.kind,
        part: part.map(|part| (part.want, part.given)),
        created: chat.created,
        updated: chat.changed,
        open: chat.open,
        default_access: chat.default_access,
        last: Seq(0),
        read: Seq(0),
        received: Seq(0),
        cleared: Seq(0),
        face,
        card: None,
        online: is_in && context.here.is_awake(id),
        last_seen: None,
    }))
}

/// Whether a group is there for whoever has this part in it. Who has asked to be let in has seen that
/// it is.
pub(in crate::domain) fn is_known(group: &Group) -> bool {
    let part = group.part.unwrap_or_default();
    may_know(group) || part.want.is_member() && !part.given.is_banned()
}

/// The place of the last message at or before `horizon`.
fn gone(tx: &Tx<'_>, chat: ChatId, horizon: MessageId) -> Result<Seq, StoreError> {
    let floor = tx.floor(chat)?.unwrap_or_default();
    let below = Seq(floor.seq.0.saturating_sub(1));
    if horizon < floor.id {
        return Ok(below);
    }
    let found = tx.message(chat, horizon)?.map_or(Seq(0), |message| message.seq);
    Ok(found.max(below))
}

/// Those in a chat, by number, for who is in it. In a group who manages it sees the invited and the
/// banned, too.
pub(in crate::domain) fn subscribers(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    after: Option<AccountNo>,
    count: u32,
) -> Result<Reply, Fault> {
    let found = chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)?;
    let mut parts: Vec<(AccountNo, Member)> = Vec::new();
    let (id, changed, watchers) = match found {
        Found::Account(other) => {
            let id = ChatId::direct(me.account, other);
            for who in [me.account, other] {
                parts.extend(tx.member(who, id)?.map(|part| (who, part)));
            }
            parts.sort_unstable_by_key(|(who, _)| *who);
            parts.dedup_by_key(|(who, _)| *who);
            (id, Timestamp::default(), Vec::new())
        }
        Found::Group(chat) => {
            let mine = tx.part(me.account, chat.id)?.unwrap_or_default().mode();
            if !mine.is_member() {
                return Err(Refusal::NoSuchChat.into());
            }
            let manages = mine.has_any(Access::SHARE.with(Access::OWN));
            let shown = |(_, part): &&(AccountNo, Member)| manages || part.mode().is_member();
            parts.extend(tx.roster(chat.id)?.parts().iter().filter(shown).copied());
            (chat.id, chat.changed, context.here.watchers(chat.id))
        }
    };
    if !parts.iter().any(|(who, _)| *who == me.account) {
        return Err(Refusal::NoSuchChat.into());
    }
    parts.retain(|(who, _)| after.is_none_or(|after| *who > after));
    let count = count.min(SUBSCRIBERS_COUNT_MAX) as usize;
    let more = parts.len() > count;
    parts.truncate(count);
    let mut subscribers = Vec::with_capacity(parts.len());
    for (who, part) in parts {
        let is_mine = who == me.account;
        let there = Some(part).filter(|part| part.mode().is_member()).unwrap_or_default();
        let horizon = chat::horizon(tx, id, &part)?.filter(|_| is_mine);
        subscribers.push(SubscriberView {
            who: name(tx, who)?,
            no: who,
            want: match id.other(who).filter(|_| is_mine) {
                Some(other) => wanted(tx, who, other, &part)?,
                None => part.want,
            },
            given: part.given,
            read: there.read.seq,
            received: there.delivered.seq,
            cleared: horizon.map_or(Ok(Seq(0)), |horizon| gone(tx, id, horizon))?,
            card: if is_mine { tx.card(who, id)? } else { None },
            updated: changed,
            face: face(tx, who)?,
            watching: watchers.contains(&who),
        });
    }
    Ok(Reply::Subscribers { subscribers, more })
}

/// What somebody keeps about themselves.
pub(in crate::domain) fn myself(look: &impl Look, me: AccountNo) -> Result<Reply, Fault> {
    let row = account::row(look, me)?;
    let profile = look.profile(me)?.unwrap_or_default();
    let own = ChatId::own(me);
    Ok(Reply::Myself(Box::new(MyselfView {
        who: row.called(),
        face: face(look, me)?,
        card: look.card(me, own)?,
        created: row.created,
        updated: profile.changed.max(row.created),
        access: profile.access.unwrap_or(Access::DIRECT),
        last: look.head(own)?.seq,
    })))
}
