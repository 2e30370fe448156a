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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::presence::announce;
    use crate::domain::testing::{HOME, Me, World, address, contact, heard_by, login, verifier};
    use crate::domain::words::{Actor, Command, Order, Query, Start};

    fn listed(world: &World, me: Me, everybody: bool) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        let mut after = AccountNo(0);
        loop {
            let query = Query::People { everybody, after, count: 2 };
            let Ok(Reply::People { people, more }) = world.read(me, &query) else { panic!() };
            all.extend(people.into_iter().map(|p| (p.who.to_string(), p.online)));
            match more {
                Some(next) => after = next,
                None => return all,
            }
        }
    }

    fn names(listed: &[(String, bool)]) -> Vec<&str> {
        listed.iter().map(|(who, _)| who.split('@').next().unwrap()).collect()
    }

    #[test]
    fn everybody_is_listed_by_number_but_those_who_are_no_more() {
        let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
        world.here.0.extend([bob.account, carol.account]);
        world.order(Order::DisableUser { login: login("dave") });
        world.add_user("eve");
        world.order(Order::RemoveUser { login: login("bob") });
        let all = listed(&world, alice, true);
        assert_eq!(names(&all), ["alice", "carol", "dave", "eve"]);
        // Whoever asks is here.
        assert_eq!(all.iter().map(|(_, on)| *on).collect::<Vec<_>>(), [true, true, false, false]);
        let _ = dave;
        // Across a block nobody is, whichever side has it.
        for (me, who) in [(carol, "alice"), (alice, "carol")] {
            world.ask(me, Command::Block { who: address(who), on: true });
            assert!(!listed(&world, alice, true)[1].1);
            world.ask(me, Command::Block { who: address(who), on: false });
        }
    }

    #[test]
    fn those_whom_one_knows_are_kept_written_with_or_members_of_the_same() {
        let people = ["alice", "bob", "carol", "dave", "eve"];
        let (mut world, [alice, bob, carol, dave, _]) = World::of(people);
        assert_eq!(names(&listed(&world, alice, false)), ["alice"]);
        world.ask(alice, Command::AddContact(contact("bob")));
        world.ask(alice, Command::AddContact(contact("zoe@far.test")));
        world.sent(carol, "alice", "hello");
        world.group_of("garden", &[dave, alice]);
        world.here.0.extend([bob.account, carol.account, dave.account]);
        let known = listed(&world, alice, false);
        assert_eq!(names(&known), ["alice", "bob", "carol", "dave"]);
        // As far as they show themselves: those who wrote to her do.
        assert_eq!(
            known.iter().map(|(_, on)| *on).collect::<Vec<_>>(),
            [false, false, true, false]
        );
    }

    #[test]
    fn followers_hear_of_everybody_but_themselves_and_across_no_block() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.here.1.extend([alice.account, bob.account]);
        world.ask(bob, Command::Block { who: address("carol"), on: true });
        let scene = Scene { now: world.now, home: HOME, here: &world.here };
        let moves = |who: Me, online| {
            let reader = world.store.reader();
            let news = reader.read(|look| announce(look, &scene, who.account, online)).unwrap();
            let moved = |news: &News| match &**news.event {
                Event::Moved { by, .. } => Some((news.to.accounts().collect::<Vec<_>>(), *by)),
                _ => None,
            };
            news.iter().filter_map(moved).collect::<Vec<_>>()
        };
        assert_eq!(moves(carol, true), [(vec![alice.account], Move::Came)]);
        assert_eq!(moves(alice, false), [(vec![bob.account], Move::Went)]);
    }

    #[test]
    fn who_is_new_is_told_unless_they_come_at_once() {
        let (mut world, [alice]) = World::of(["alice"]);
        world.here.1.insert(alice.account);
        let mut register = |name: &str, logs_in: bool| {
            let (login, verifier) = (login(name), verifier("v"));
            let start = Some(Box::new(Start { logs_in, ..Start::default() }));
            let (invite, envelope) = (None, None);
            let command = Command::Register { login, verifier, invite, envelope, start };
            let outcome = world.apply(Actor::Nobody, command);
            assert!(outcome.reply.is_ok());
            heard_by(&outcome, alice.account, None).len()
        };
        assert_eq!((register("bob", false), register("carol", true)), (1, 0));
        let order = Order::AddUser { login: login("dave"), verifier: verifier("v") };
        let outcome = world.order(order);
        let heard = heard_by(&outcome, alice.account, None);
        assert_eq!(*heard[0], Event::Moved { who: "dave@im.test".into(), by: Move::Appeared });
    }
}
