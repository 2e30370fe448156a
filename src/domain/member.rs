//! Who is in a group or a channel: invitations, joining, leaving, and the letters of access.
//!
//! A member's part says what they want and what they are given; what both say, they have. Somebody
//! who was given something and wants nothing yet is invited. X on either side is a ban.
//!
//! **Exactly one member owns a chat, always:** the owner cannot leave or drop O, nobody else can
//! change what the owner is given, and whoever takes O over takes it from them in the same breath.

use crate::domain::eyes::name;
use crate::domain::group::{self, Group, has_room_for_one_more};
use crate::domain::id::{AccountNo, Address, ChatId};
use crate::domain::message::{enter, post};
use crate::domain::notice::{self, Matter};
use crate::domain::nouns::{Access, Entry, Extra, Mark, Member};
use crate::domain::session::Caller;
use crate::domain::subscribe::{in_direct, leave_direct};
use crate::domain::words::{Act, Event, Kind, MemberView, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, chat, request};
use crate::limits::{CARD_BYTES_MAX, MEMBERS_COUNT_MAX};
use crate::store::{Look, StoreError, Tx};

/// The letters that S may give and take; the others are the owner's.
const SHARED: Access = Access::GROUP;
/// What an heir wants from then on, beside what they wanted before: to manage the chat.
const INHERITED: Access = Access::SHARE.with(Access::DELETE).with(Access::OWN);

/// Gives somebody a part that they may take by joining, and tells them so in a message.
pub(in crate::domain) fn invite(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    who: &Address,
    (access, note): (Option<Access>, &str),
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if note.len() > CARD_BYTES_MAX {
        return Err(Refusal::FieldTooLong.into());
    }
    let group = Group::of_member(tx, me.account, address)?;
    group.needs(Access::SHARE)?;
    let access = access.unwrap_or(group.chat.default_access);
    if access == Access::NONE || access.is_banned() {
        return Err(Refusal::BadAccess.into());
    }
    let usual = group.chat.default_access;
    may_set(&group, Access::NONE, access.without(usual))?;
    let other = account::here(tx, context.home, who)?;
    let part = tx.member(other, group.chat.id)?;
    let had = part.unwrap_or_default();
    if had.mode().is_member() {
        return Err(Refusal::AlreadyThere.into());
    }
    // Who is banned, by others or by themselves, is asked nothing; who blocks the asker neither.
    if had.want.is_banned() || had.given.is_banned() {
        return Err(Refusal::NotAllowed.into());
    }
    // An invitation that the owner gave stays what it is.
    may_set(&group, had.given.without(usual), access.without(usual))?;
    let room = enter(tx, me.account, &chat::Found::Account(other))?;
    if part.is_none() {
        check_members(tx, context, group.chat.id)?;
        has_room_for_one_more(tx, context, other)?;
    }
    // It is theirs once they join, whatever they wanted when they were here before.
    let invited = Member { want: Access::NONE, given: access, told: true, ..had };
    tx.put_member(other, group.chat.id, &invited)?;
    if !(had.told && had.is_invited()) {
        let matter = Matter { act: Act::Invited, chat: group.chat.id, part: invited, note };
        notice::leave(tx, context, me, other, matter, news)?;
    }
    let extra = Extra { place: Some(group.chat.id), access: Some(access), ..Extra::default() };
    post(tx, context, me, &room, Entry::telling(Kind::Invited, "", extra), news)?;
    Ok(Reply::Done)
}

/// Takes an invitation, or joins what is open.
pub(in crate::domain) fn join(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let mut group = Group::at(tx, me.account, address)?;
    let part = group.part.unwrap_or_default();
    if part.mode().is_member() {
        return Err(Refusal::AlreadyThere.into());
    }
    let given = match group.part {
        // Banned, or left with nothing: that the chat is open to others changes none of it.
        Some(part) if !part.given.is_member() => return Err(Refusal::NotAllowed.into()),
        Some(part) => part.given,
        None if group.chat.open => {
            check_members(tx, context, group.chat.id)?;
            group.chat.default_access
        }
        None => return Err(Refusal::NotAllowed.into()),
    };
    let want = given.without(Access::OWN);
    // To own it is to be taken up by saying so; there is nothing else to join with.
    if want == Access::NONE {
        return Err(Refusal::NotAllowed.into());
    }
    has_room_for_one_more(tx, context, me.account)?;
    let part = Member { want, given, told: false, ..part };
    group.part = Some(part);
    settle(tx, context, me, &group, me.account, part, news)?;
    Ok(Reply::Chat(Box::new(group::info(tx, &group)?)))
}

/// Ends my part, or declines an invitation.
pub(in crate::domain) fn leave(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if let Some(chat::Found::Account(other)) = chat::find(tx, address)? {
        return leave_direct(tx, me, other, news);
    }
    let group = Group::at(tx, me.account, address)?;
    let Some(part) = group.part else { return Err(Refusal::NoSuchChat.into()) };
    if part.mode().has(Access::OWN) {
        return Err(Refusal::LastOwner.into());
    }
    if part.given.is_banned() {
        return Err(Refusal::NotAllowed.into());
    }
    if part.mode().is_member() {
        go(tx, context, me, &group, me.account, None, news)?;
    }
    tx.put_card(me.account, group.chat.id, "")?;
    // Who was given less than a newcomer would get less by coming back.
    if part.given.has(group.chat.default_access) {
        tx.remove_member(me.account, group.chat.id)?;
    } else {
        // Those whom they have asked have not decided yet.
        let told = part.told && part.given == Access::NONE;
        tx.put_member(me.account, group.chat.id, &Member { want: Access::NONE, told, ..part })?;
    }
    Ok(Reply::Done)
}

/// Ends somebody's part; with a ban it cannot be taken up again.
pub(in crate::domain) fn kick(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    who: &Address,
    ban: bool,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let group = Group::of_member(tx, me.account, address)?;
    group.needs(Access::SHARE)?;
    let other = tx.account_by_address(who)?.ok_or(Refusal::NoSuchAccount)?;
    let part = tx.member(other, group.chat.id)?;
    let had = part.unwrap_or_default();
    if other == me.account {
        return Err(Refusal::BadField.into());
    }
    manages(&group, had.given)?;
    if part.is_none() && !ban {
        return Err(Refusal::NoSuchMember.into());
    }
    if part.is_none() {
        check_members(tx, context, group.chat.id)?;
    }
    let given = ban.then_some(Access::BANNED);
    if had.mode().is_member() {
        go(tx, context, me, &group, other, given, news)?;
    }
    // Who stays out of it by their own wish is asked nothing, until they wish otherwise: no kick
    // makes room for the next invitation.
    let want = if had.want.is_banned() { Access::BANNED } else { Access::NONE };
    tx.put_card(other, group.chat.id, "")?;
    match given {
        None if want == Access::NONE => tx.remove_member(other, group.chat.id)?,
        given => {
            let given = given.unwrap_or(Access::NONE);
            tx.put_member(other, group.chat.id, &Member { want, given, told: false, ..had })?;
        }
    }
    Ok(Reply::Done)
}

/// What somebody is given; without `who`, what I want.
pub(in crate::domain) fn set_access(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    who: Option<&Address>,
    access: Access,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if let Some(chat::Found::Account(other)) = chat::find(tx, address)? {
        let is_mine = match who {
            Some(who) => tx.account_by_address(who)? == Some(me.account),
            None => true,
        };
        // Neither side of a direct chat gives the other anything.
        return match is_mine {
            true => want_direct(tx, context, me, other, access, news),
            false => Err(Refusal::NotAllowed.into()),
        };
    }
    let group = Group::at(tx, me.account, address)?;
    let other = match who {
        Some(who) => tx.account_by_address(who)?.ok_or(Refusal::NoSuchAccount)?,
        None => me.account,
    };
    if other == me.account {
        return want(tx, context, me, &group, access, news);
    }
    if !group.mode().is_member() {
        return Err(Refusal::NoSuchChat.into());
    }
    if !group.mode().has_any(Access::SHARE.with(Access::OWN)) {
        return Err(Refusal::NotAllowed.into());
    }
    let Some(had) = tx.member(other, group.chat.id)? else {
        return Err(Refusal::NoSuchMember.into());
    };
    may_set(&group, had.given, access)?;
    // It is decided, unless it is they who have to.
    let new = Member { given: access, told: had.told && had.is_invited(), ..had };
    has_room(tx, context, other, (&had, &new))?;
    settle(tx, context, me, &group, other, new, news)?;
    if notice::is_waiting(&had) && new.mode().is_member() && !notice::is_waiting(&new) {
        let matter = Matter { act: Act::Admitted, chat: group.chat.id, part: new, note: "" };
        notice::leave(tx, context, me, other, matter, news)?;
    }
    Ok(Reply::Done)
}

/// What I want of a direct chat: X is a block, what it does not have by nature is passed over.
pub(in crate::domain) fn want_direct(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    other: AccountNo,
    access: Access,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let id = ChatId::direct(me.account, other);
    let Some(had) = tx.member(me.account, id)? else {
        return Err(Refusal::NoSuchChat.into());
    };
    let who = account::row(tx, other)?.address;
    request::block(tx, context, me, &who, access.is_banned(), news)?;
    if access.is_banned() {
        return Ok(Reply::Done);
    }
    let want = in_direct(access);
    if want == had.want {
        return Ok(Reply::Done);
    }
    let new = Member { want, ..had };
    tx.put_member(me.account, id, &new)?;
    if let Some(theirs) = tx.member(other, id)?.filter(|_| other != me.account) {
        let unheard = !new.mode().has(Access::READ);
        tx.put_member(other, id, &Member { unheard, ..theirs })?;
    }
    Ok(Reply::Done)
}

pub(in crate::domain) fn want(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    group: &Group,
    access: Access,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let Some(had) = tx.member(me.account, group.chat.id)? else {
        return Err(Refusal::NoSuchChat.into());
    };
    if had.given.is_banned() {
        return Err(Refusal::NotAllowed.into());
    }
    if had.mode().has(Access::OWN) && !access.has(Access::OWN) {
        return Err(Refusal::LastOwner.into());
    }
    let takes_over = access.has(Access::OWN) && !had.mode().has(Access::OWN);
    if takes_over && !had.given.has(Access::OWN) {
        return Err(Refusal::BadAccess.into());
    }
    // Who owns a chat lacks no letter of it, whatever was given with O.
    let given = if takes_over { Access::OWNER } else { had.given };
    let new = Member { want: access, given, told: had.told && !had.is_invited(), ..had };
    has_room(tx, context, me.account, (&had, &new))?;
    // First, so that nobody is told of two owners.
    let others = match takes_over {
        true => leave_alone(tx, group, me.account)?,
        false => Vec::new(),
    };
    settle(tx, context, me, group, me.account, new, news)?;
    for who in others {
        show(tx, me, group, who, news)?;
    }
    Ok(Reply::Done)
}

/// Whoever comes in by their letters, and not by joining, is in one more group all the same.
fn has_room(
    tx: &Tx<'_>,
    context: &Context<'_>,
    who: AccountNo,
    (old, new): (&Member, &Member),
) -> Result<(), Fault> {
    match new.mode().is_member() && !old.mode().is_member() {
        true => has_room_for_one_more(tx, context, who),
        false => Ok(()),
    }
}

/// Takes O from everybody but its owner: from the one before them, and from those to whom that one
/// may have offered it besides. Who they are, to be shown it.
fn leave_alone(
    tx: &mut Tx<'_>,
    group: &Group,
    owner: AccountNo,
) -> Result<Vec<AccountNo>, StoreError> {
    let roster = tx.roster(group.chat.id)?;
    let owns = |(who, part): &&(AccountNo, Member)| *who != owner && part.given.has(Access::OWN);
    let owners: Vec<(AccountNo, Member)> = roster.parts().iter().filter(owns).copied().collect();
    for (who, part) in &owners {
        let given = part.given.without(Access::OWN);
        let want = match part.want.without(Access::OWN) {
            // Who wanted nothing but to own stays a member all the same.
            Access::NONE if part.want != Access::NONE => given,
            want => want,
        };
        tx.put_member(*who, group.chat.id, &Member { want, given, ..*part })?;
    }
    Ok(owners.into_iter().map(|(who, _)| who).collect())
}

/// Whether somebody with these letters is the caller's to manage: everybody for the owner, those
/// with neither S nor O for the others.
fn manages(group: &Group, theirs: Access) -> Result<(), Refusal> {
    let is_equal = theirs.has_any(Access::SHARE.with(Access::OWN));
    if group.mode().has(Access::OWN) || !is_equal { Ok(()) } else { Err(Refusal::NotAllowed) }
}

/// Whether the letters that change are the caller's to change: all of them for the owner, those of
/// a newcomer for the others. Whoever may be managed may be banned, whatever they have.
fn may_set(group: &Group, old: Access, new: Access) -> Result<(), Refusal> {
    manages(group, old)?;
    let changed = Access(old.0 ^ new.0).without(Access::BANNED);
    let is_shared = new.is_banned() || changed.without(SHARED) == Access::NONE;
    if group.mode().has(Access::OWN) || is_shared { Ok(()) } else { Err(Refusal::NotAllowed) }
}

/// Gives somebody their new part, and the chat the record that tells of it.
pub(in crate::domain) fn settle(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    group: &Group,
    who: AccountNo,
    new: Member,
    news: &mut Vec<News>,
) -> Result<(), Fault> {
    let id = group.chat.id;
    let old = tx.member(who, id)?.unwrap_or_default();
    if (old.want, old.given) == (new.want, new.given) {
        return Ok(());
    }
    let (was, is) = (old.mode().is_member(), new.mode().is_member());
    if was && !is {
        go(tx, context, me, group, who, Some(new.mode()), news)?;
        tx.put_member(who, id, &new)?;
        return Ok(());
    }
    let new = match is && !was {
        // Nobody begins with everything there ever was unread.
        true => {
            let head = tx.head(id)?;
            let end = Mark { id: head.id, seq: head.seq };
            chat::advanced(&new, end, end)
        }
        false => new,
    };
    tx.put_member(who, id, &new)?;
    let person = Some(who).filter(|who| *who != me.account);
    if person.is_none() && !was && !is {
        // Nobody writes into a chat that they are not in, not even what they want of it.
        return show(tx, me, group, who, news).map_err(Fault::from);
    }
    let entry = match is && !was {
        true => Entry::telling(Kind::Joined, "", Extra { person, ..Extra::default() }),
        false => {
            let access = Some(if is { new.mode() } else { new.given });
            Entry::telling(Kind::Access, "", Extra { person, access, ..Extra::default() })
        }
    };
    let room = group.room(tx, me.account)?;
    post(tx, context, me, &room, entry, news)?;
    let knows = |part| group::may_know(&Group { chat: group.chat.clone(), part: Some(part) });
    if !is && knows(old) && !knows(new) {
        news.push(News::to_one(who, None, gone(group)));
    }
    show(tx, me, group, who, news)?;
    Ok(())
}

fn gone(group: &Group) -> Event {
    Event::ChatGone { chat: group.chat.called() }
}

/// Somebody goes: the chat hears of it while they still hear, and then they are shown out.
fn go(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    group: &Group,
    who: AccountNo,
    access: Option<Access>,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let person = Some(who).filter(|who| *who != me.account);
    let extra = Extra { person, access, ..Extra::default() };
    let room = group.room(tx, me.account)?;
    post(tx, context, me, &room, Entry::telling(Kind::Left, "", extra), news)?;
    let except = (who == me.account).then_some(me.key);
    news.push(News::to_one(who, except, gone(group)));
    Ok(())
}

/// Shows somebody what their part is now, where the chat is there for them.
fn show(
    tx: &mut Tx<'_>,
    me: &Caller,
    group: &Group,
    who: AccountNo,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let part = tx.part(who, group.chat.id)?;
    let theirs = Group { chat: group.chat.clone(), part };
    if !group::may_know(&theirs) {
        // Who is banned, or left with nothing, would be shown what CHAT-INFO does not tell them.
        return Ok(());
    }
    let info = group::info(tx, &theirs)?;
    let except = (who == me.account).then_some(me.key);
    news.push(News::to_one(who, except, Event::ChatChanged(Box::new(info))));
    Ok(())
}

/// Who is in it and how far each has read. Who manages it sees the invited and the banned, too.
pub(in crate::domain) fn members(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
    after: Option<&Address>,
    count: u32,
) -> Result<Reply, Fault> {
    let group = Group::of_member(tx, me.account, address)?;
    let manages = group.mode().has_any(Access::SHARE.with(Access::OWN));
    let after = match after {
        Some(address) => tx.account_by_address(address)?.ok_or(Refusal::NoSuchMember)?,
        None => AccountNo(0),
    };
    let shown =
        |(who, part): &&(AccountNo, Member)| *who > after && (manages || part.mode().is_member());
    let count = count.min(MEMBERS_COUNT_MAX) as usize;
    let roster = tx.roster(group.chat.id)?;
    let found: Vec<(AccountNo, Member)> =
        roster.parts().iter().filter(shown).take(count + 1).copied().collect();
    let more = found.len() > count;
    let mut members = Vec::with_capacity(count.min(found.len()));
    for (who, part) in found.into_iter().take(count) {
        let (want, given) = (part.want, part.given);
        // Whoever is not in it has read nothing, whatever they wrote when they were.
        let Member { delivered, read, .. } =
            Some(part).filter(|part| part.mode().is_member()).unwrap_or_default();
        let who = name(tx, who)?;
        members.push(MemberView { who, want, given, delivered: delivered.id, read: read.id });
    }
    Ok(Reply::Members { members, more })
}

/// An account that goes leaves its groups. What it owned goes to whoever manages it, else to whoever
/// came first; what nobody else is in is removed. A chat that people are in outlives its space.
pub(in crate::domain) fn leave_all(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    for (id, _) in tx.chats_of(me.account)? {
        if !id.is_group() {
            continue;
        }
        let Some(row) = tx.chat(id)? else { continue };
        let roster = tx.roster(id)?;
        let part = roster.part(me.account).copied().unwrap_or_default();
        let others = || roster.members().filter(|(who, _)| *who != me.account);
        let manager = others().find(|(_, part)| part.mode().has(Access::SHARE));
        let heir = manager.or_else(|| others().next()).copied();
        let owned = part.mode().has(Access::OWN);
        if owned && heir.is_none() {
            group::take_down(tx, row, me, news)?;
            continue;
        }
        let group = Group { chat: row, part: Some(part) };
        if part.mode().is_member() {
            go(tx, context, me, &group, me.account, None, news)?;
        }
        tx.remove_member(me.account, id)?;
        tx.put_card(me.account, id, "")?;
        if owned && let Some((heir, theirs)) = heir {
            let (want, given) = (theirs.want.with(INHERITED), Access::OWNER);
            tx.put_member(heir, id, &Member { want, given, ..theirs })?;
            let others = leave_alone(tx, &group, heir)?;
            for who in others.into_iter().chain([heir]) {
                show(tx, me, &group, who, news)?;
            }
        }
    }
    Ok(())
}

pub(in crate::domain) fn check_members(
    tx: &Tx<'_>,
    context: &Context<'_>,
    chat: ChatId,
) -> Result<(), Fault> {
    if tx.members_of(chat)?.len() < context.limits.members {
        Ok(())
    } else {
        Err(Refusal::TooManyMembers.into())
    }
}

#[cfg(test)]
mod tests;
