//! Contact requests, and blocking.
//!
//! A request stands on both sides: the one who asks has the contact as `Requested`, the one who is
//! asked as `Pending`, in nobody's list yet. A block stands on one side alone and the other is not
//! told: their requests are answered as if nothing were the matter, and go nowhere.

use crate::domain::contact::{self, called, to_my_others};
use crate::domain::eyes::name;
use crate::domain::id::{AccountNo, Address};
use crate::domain::nouns::{Contact, ContactState};
use crate::domain::session::Caller;
use crate::domain::words::{Changed, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault, account};
use crate::limits::{REQUEST_NOTE_BYTES_MAX, REQUESTS_MAX};
use crate::store::{Look, StoreError, Tx};

/// Contacts looked at together.
const SLICE: usize = 128;

/// Asks somebody of this server. Who asks somebody that has asked them takes that request.
pub(in crate::domain) fn ask(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    who: &Address,
    note: &str,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if note.len() > REQUEST_NOTE_BYTES_MAX {
        return Err(Refusal::FieldTooLong.into());
    }
    let other = account::here(tx, context.home, who)?;
    if other == me.account {
        return Err(Refusal::BadField.into());
    }
    let mine = account::row(tx, me.account)?.address;
    let old = tx.contact(me.account, who)?;
    if old.as_ref().is_some_and(|old| old.state == ContactState::Pending) {
        return answer(tx, context, me, who, true, news);
    }
    if old.as_ref().is_some_and(|old| old.state == ContactState::Blocked) {
        return Err(Refusal::NotAllowed.into());
    }
    if old.is_none() && tx.contact_count(me.account)? >= context.limits.contacts {
        return Err(Refusal::TooManyContacts.into());
    }
    let theirs = tx.contact(other, &mine)?;
    let state = match theirs.as_ref().map(|theirs| theirs.state) {
        // They have me already: there is nothing to wait for. Where they have asked and I have
        // blocked them since, what they asked is still to be answered.
        Some(ContactState::Plain | ContactState::Requested) => {
            tell_accepted(tx, me, who, news)?;
            ContactState::Plain
        }
        Some(ContactState::Pending | ContactState::Blocked) => ContactState::Requested,
        None => {
            if waiting(tx, other)? >= REQUESTS_MAX {
                return Err(Refusal::TooManyContacts.into());
            }
            ContactState::Requested
        }
    };
    put_mine(tx, context, me, who, old, state, news)?;
    if theirs.is_none() {
        let note = Some(note).filter(|note| !note.is_empty()).map(Box::from);
        tx.put_contact(other, &Contact { note, ..bare(&mine, ContactState::Pending) })?;
        let note = note_of(tx, other, &mine)?;
        let event = Event::ContactRequested { who: name(tx, me.account)?, note };
        news.push(News::to_one(other, None, event));
    }
    Ok(Reply::Done)
}

/// Takes or leaves a request. Leaving it changes nothing for who asked but that nothing waits.
pub(in crate::domain) fn answer(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    who: &Address,
    accept: bool,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let old = tx.contact(me.account, who)?;
    let Some(old) = old.filter(|old| old.state == ContactState::Pending) else {
        return Err(Refusal::NoSuchRequest.into());
    };
    if accept {
        account::here(tx, context.home, who)?;
        tell_accepted(tx, me, who, news)?;
        put_mine(tx, context, me, who, Some(old), ContactState::Plain, news)?;
        return Ok(Reply::Done);
    }
    tx.remove_contact(me.account, who)?;
    settle_theirs(tx, me, who, false, news)?;
    news.push(to_my_others(me, Event::ContactRemoved { who: called(tx, who)? }));
    Ok(Reply::Done)
}

/// Blocks somebody, whether a contact or not, or lifts the block. Doing it twice is doing it once.
pub(in crate::domain) fn block(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    who: &Address,
    on: bool,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if tx.account_by_address(who)? == Some(me.account) {
        return Err(Refusal::BadField.into());
    }
    let old = tx.contact(me.account, who)?;
    let is_blocked = old.as_ref().is_some_and(|old| old.state == ContactState::Blocked);
    if on == is_blocked {
        return Ok(Reply::Done);
    }
    match (on, old) {
        (true, Some(old)) => {
            let unlisted = old.unlisted;
            let kept = Contact { state: ContactState::Blocked, ..old };
            let row = if unlisted { bare(who, ContactState::Blocked) } else { kept };
            tx.put_contact(me.account, &row)?;
        }
        (true, None) => {
            if who.is_local(context.home) {
                account::here(tx, context.home, who)?;
            }
            if tx.contact_count(me.account)? >= context.limits.contacts {
                return Err(Refusal::TooManyContacts.into());
            }
            tx.put_contact(me.account, &bare(who, ContactState::Blocked))?;
        }
        (false, Some(old)) if !old.unlisted => {
            tx.put_contact(me.account, &Contact { state: ContactState::Plain, ..old })?;
        }
        (false, _) => tx.remove_contact(me.account, who)?,
    }
    news.push(to_my_others(me, Event::ContactBlocked { who: called(tx, who)?, on }));
    Ok(Reply::Done)
}

/// A row that is there for its state alone.
pub(in crate::domain) fn bare(who: &Address, state: ContactState) -> Contact {
    Contact {
        who: who.clone(),
        name: who.to_string().into(),
        group: Vec::new(),
        note: None,
        dialog: false,
        state,
        unlisted: true,
    }
}

/// Their request is taken: they have waited for it, and hear it.
pub(in crate::domain) fn tell_accepted(
    tx: &mut Tx<'_>,
    me: &Caller,
    who: &Address,
    news: &mut Vec<News>,
) -> Result<(), Fault> {
    settle_theirs(tx, me, who, true, news)
}

fn settle_theirs(
    tx: &mut Tx<'_>,
    me: &Caller,
    who: &Address,
    accepted: bool,
    news: &mut Vec<News>,
) -> Result<(), Fault> {
    let Some(other) = tx.account_by_address(who)? else { return Ok(()) };
    let mine = account::row(tx, me.account)?.address;
    let theirs = tx.contact(other, &mine)?;
    if let Some(theirs) = theirs.filter(|theirs| theirs.state == ContactState::Requested) {
        tx.put_contact(other, &Contact { state: ContactState::Plain, ..theirs })?;
        let event = Event::ContactAnswered { who: name(tx, me.account)?, accepted };
        news.push(News::to_one(other, None, event));
    }
    Ok(())
}

/// Makes or changes my own row and shows it to my other devices.
fn put_mine(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    who: &Address,
    old: Option<Contact>,
    state: ContactState,
    news: &mut Vec<News>,
) -> Result<(), Fault> {
    let is_new = old.as_ref().is_none_or(|old| old.unlisted);
    if !is_new && old.as_ref().is_some_and(|old| old.state == state) {
        return Ok(());
    }
    // What somebody said with their request is no note of mine.
    let old = old.filter(|old| !old.unlisted).unwrap_or_else(|| bare(who, state));
    let contact = Contact { state, unlisted: false, ..old };
    tx.put_contact(me.account, &contact)?;
    let contact = contact::view(tx, &context.scene(), me.account, contact)?;
    let changed = Changed { state: true, ..Changed::default() };
    news.push(to_my_others(
        me,
        match is_new {
            true => Event::ContactCreated(contact),
            false => Event::ContactUpdated { contact, changed },
        },
    ));
    Ok(())
}

/// How many requests wait for somebody's answer.
fn waiting(look: &impl Look, owner: AccountNo) -> Result<usize, StoreError> {
    let mut after = None;
    let mut count = 0;
    loop {
        let contacts = look.contacts(owner, after.as_ref(), SLICE)?;
        let is_last = contacts.len() < SLICE;
        count += contacts.iter().filter(|c| c.state == ContactState::Pending).count();
        after = contacts.into_iter().next_back().map(|contact| contact.who);
        if is_last {
            return Ok(count);
        }
    }
}

fn note_of(look: &impl Look, owner: AccountNo, who: &Address) -> Result<Box<str>, StoreError> {
    Ok(look.contact(owner, who)?.and_then(|contact| contact.note).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{Me, World, address, heard_by, refused};
    use crate::domain::words::{Command, Outcome};

    fn ask(world: &mut World, me: Me, who: &str) -> Outcome {
        world.ask(me, Command::RequestContact { who: address(who), note: "it is me".into() })
    }

    fn answer(world: &mut World, me: Me, who: &str, accept: bool) -> Outcome {
        world.ask(me, Command::AnswerContact { who: address(who), accept })
    }

    fn state(world: &World, me: Me, who: &str) -> Option<(ContactState, bool)> {
        let contact = world.store.reader().read(|look| look.contact(me.account, &address(who)));
        contact.unwrap().map(|contact| (contact.state, contact.unlisted))
    }

    #[test]
    fn a_request_stands_on_both_sides_until_it_is_answered() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let outcome = ask(&mut world, alice, "bob");
        let heard = heard_by(&outcome, bob.account, None);
        let note = "it is me".into();
        assert_eq!(*heard[0], Event::ContactRequested { who: "alice@im.test".into(), note });
        assert_eq!(state(&world, alice, "bob"), Some((ContactState::Requested, false)));
        assert_eq!(state(&world, bob, "alice"), Some((ContactState::Pending, true)));
        // Asking again asks nobody.
        assert!(heard_by(&ask(&mut world, alice, "bob"), bob.account, None).is_empty());
        let outcome = answer(&mut world, bob, "alice", true);
        let heard = heard_by(&outcome, alice.account, None);
        let who = "bob@im.test".into();
        assert_eq!(*heard[0], Event::ContactAnswered { who, accepted: true });
        for (me, who) in [(alice, "bob"), (bob, "alice")] {
            assert_eq!(state(&world, me, who), Some((ContactState::Plain, false)));
        }
        assert_eq!(refused(&answer(&mut world, bob, "alice", true)), Refusal::NoSuchRequest);
    }

    #[test]
    fn who_declines_keeps_nobody() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        ask(&mut world, alice, "bob");
        let outcome = answer(&mut world, bob, "alice", false);
        let heard = heard_by(&outcome, alice.account, None);
        let who = "bob@im.test".into();
        assert_eq!(*heard[0], Event::ContactAnswered { who, accepted: false });
        assert_eq!(state(&world, bob, "alice"), None);
        assert_eq!(state(&world, alice, "bob"), Some((ContactState::Plain, false)));
    }

    #[test]
    fn two_who_ask_each_other_have_each_other() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        ask(&mut world, alice, "bob");
        ask(&mut world, bob, "alice");
        for (me, who) in [(alice, "bob"), (bob, "alice")] {
            assert_eq!(state(&world, me, who), Some((ContactState::Plain, false)));
        }
        assert_eq!(refused(&ask(&mut world, alice, "alice")), Refusal::BadField);
        assert_eq!(refused(&ask(&mut world, alice, "nobody")), Refusal::NoSuchAccount);
        assert_eq!(refused(&ask(&mut world, alice, "x@far.test")), Refusal::NoFederation);
    }

    #[test]
    fn a_blocked_person_is_told_nothing() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let block = |on| Command::Block { who: address("alice"), on };
        assert!(heard_by(&world.ask(bob, block(true)), alice.account, None).is_empty());
        assert_eq!(state(&world, bob, "alice"), Some((ContactState::Blocked, true)));
        assert!(world.ask(bob, block(true)).news.is_empty(), "twice is once");
        let outcome = ask(&mut world, alice, "bob");
        assert!(outcome.reply.is_ok() && heard_by(&outcome, bob.account, None).is_empty());
        assert_eq!(state(&world, alice, "bob"), Some((ContactState::Requested, false)));
        // A contact that is deleted stays blocked, and one that was none is none again.
        world.ask(bob, Command::AddContact(crate::domain::testing::contact("alice")));
        assert_eq!(state(&world, bob, "alice"), Some((ContactState::Blocked, false)));
        world.ask(bob, Command::RemoveContact { who: address("alice") });
        assert_eq!(state(&world, bob, "alice"), Some((ContactState::Blocked, true)));
        world.ask(bob, block(false));
        assert_eq!(state(&world, bob, "alice"), None);
    }

    #[test]
    fn strangers_fill_nobodys_list() {
        let mut world = World::new();
        world.add_user("bob");
        let bob = world.log_in("bob");
        for n in 0..=REQUESTS_MAX {
            let login = format!("u{n}");
            world.add_user(&login);
            let me = world.log_in(&login);
            let outcome = ask(&mut world, me, "bob");
            match n < REQUESTS_MAX {
                true => assert!(outcome.reply.is_ok()),
                false => assert_eq!(refused(&outcome), Refusal::TooManyContacts),
            }
        }
        answer(&mut world, bob, "u0", false);
        let late = world.log_in(&format!("u{REQUESTS_MAX}"));
        assert!(ask(&mut world, late, "bob").reply.is_ok());
    }

    #[test]
    fn who_asks_or_adds_somebody_that_still_waits_takes_their_request() {
        let asking = |who| Command::RequestContact { who: address(who), note: "".into() };
        for command in
            [asking("alice"), Command::AddContact(crate::domain::testing::contact("alice"))]
        {
            let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
            world.ask(alice, asking("bob"));
            // The block swallows what bob was asked, and alice is not told.
            for on in [true, false] {
                world.ask(bob, Command::Block { who: address("alice"), on });
            }
            let outcome = world.ask(bob, command);
            let heard = heard_by(&outcome, alice.account, None);
            let who = "bob@im.test".into();
            assert_eq!(*heard[0], Event::ContactAnswered { who, accepted: true });
            let theirs = world.store.reader().read(|s| s.contact(alice.account, &address("bob")));
            assert_eq!(theirs.unwrap().unwrap().state, ContactState::Plain);
        }
    }
}
