//! The directory: everybody here by number, for protocols that show it, and who of them comes and
//! goes. Across a block nobody is here, whichever side has it.

use std::collections::BTreeSet;

use crate::domain::id::AccountNo;
use crate::domain::nouns::{Account, AccountState};
use crate::domain::presence::{self, Presence, Scene};
use crate::domain::words::{Audience, Event, Move, News, PersonView, Reply};
use crate::domain::{Fault, account};
use crate::limits::PEOPLE_COUNT_MAX;
use crate::store::{Look, StoreError};

/// Contacts read at a time.
const SLICE: usize = 128;

/// See `Query::People`. Who cannot log in any more is in no directory, who cannot for now is.
pub(in crate::domain) fn people(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    everybody: bool,
    (after, count): (AccountNo, u32),
) -> Result<Reply, Fault> {
    let count = count.min(PEOPLE_COUNT_MAX) as usize;
    let mut rows = match everybody {
        true => look.accounts_after(after, count + 1)?,
        false => known(look, scene, me, after, count + 1)?,
    };
    let more = rows.len() > count;
    rows.truncate(count);
    let mut people = Vec::with_capacity(rows.len());
    // Whom a page leaves out ends it all the same.
    let last = rows.last().map(|row| row.no);
    for row in rows.into_iter().filter(is_listed) {
        let online = match everybody {
            true if row.no == me => true,
            true => scene.here.is_here(row.no) && !are_apart(look, me, row.no)?,
            false => presence::of(look, scene, me, row.no)?.is_some_and(|seen| seen.online),
        };
        people.push(PersonView { who: row.called(), online });
    }
    Ok(Reply::People { people, more: last.filter(|_| more) })
}

/// Tells those who follow everybody what somebody did.
pub(in crate::domain) fn tell(
    look: &impl Look,
    here: &dyn Presence,
    who: AccountNo,
    by: Move,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let all = followers(look, here, who)?;
    if !all.is_empty() {
        let event = Event::Moved { who: account::row(look, who)?.called(), by };
        news.push(News::new(Audience::Many { all: all.into(), but: None }, None, event));
    }
    Ok(())
}

/// Those who follow everybody and see this one.
pub(in crate::domain) fn followers(
    look: &impl Look,
    here: &dyn Presence,
    who: AccountNo,
) -> Result<Vec<AccountNo>, StoreError> {
    let mut seeing = Vec::new();
    for follower in here.followers() {
        if follower != who && !are_apart(look, who, follower)? {
            seeing.push(follower);
        }
    }
    Ok(seeing)
}

fn are_apart(look: &impl Look, who: AccountNo, other: AccountNo) -> Result<bool, StoreError> {
    let mine = account::row(look, who)?.address;
    presence::are_apart(look, (who, &mine), other)
}

fn is_listed(row: &Account) -> bool {
    matches!(row.state, AccountState::Active | AccountState::Disabled)
}

/// Those whom somebody keeps, writes with and shares groups with, and they themselves.
fn known(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    after: AccountNo,
    count: usize,
) -> Result<Vec<Account>, StoreError> {
    let mut known = BTreeSet::from([me]);
    let mut place = None;
    loop {
        let contacts = look.contacts(me, place.as_ref(), SLICE)?;
        let is_last = contacts.len() < SLICE;
        for contact in contacts {
            if !contact.unlisted && contact.who.is_local(scene.home) {
                known.extend(look.account_by_address(&contact.who)?);
            }
            place = Some(contact.who);
        }
        if is_last {
            break;
        }
    }
    for (chat, part) in look.chats_of(me)? {
        match chat.other(me) {
            Some(other) => drop(known.insert(other)),
            None if part.mode().is_member() => known.extend(look.members_of(chat)?),
            None => {}
        }
    }
    let mut rows = Vec::new();
    for no in known.range(AccountNo(after.0.saturating_add(1))..).take(count) {
        rows.push(account::row(look, *no)?);
    }
    Ok(rows)
}
