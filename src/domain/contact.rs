//! Contacts: whom an account keeps, under which name and in which groups.
//!
//! Contacts on other servers are taken at their word; contacts here must exist. Only the owner's
//! other sessions hear of a change.

use crate::domain::id::{AccountNo, Address};
use crate::domain::name::{Name, Tag};
use crate::domain::nouns::{AccountState, Contact, ContactState};
use crate::domain::presence::{self, Scene};
use crate::domain::session::Caller;
use crate::domain::words::{Changed, ContactDraft, ContactView, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, chat, request};
use crate::limits::{
    CONTACT_GROUP_BYTES_MAX, CONTACT_GROUPS_MAX, CONTACT_NAME_BYTES_MAX, CONTACT_NOTE_BYTES_MAX,
};
use crate::store::{Look, StoreError, Tx};

// mSIM 2, decision 42: without a name it is the address, without a group there is none.
pub(in crate::domain) fn add(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    draft: ContactDraft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check_lengths(&draft)?;
    let old = tx.contact(me.account, &draft.who)?;
    if old.as_ref().is_some_and(|old| !old.unlisted) {
        return Err(Refusal::AlreadyThere.into());
    }
    if draft.who.is_local(context.home) && !exists(tx, &draft.who)? {
        return Err(Refusal::NoSuchAccount.into());
    }
    // Adding somebody who has asked is taking their request, also where I had blocked them and
    // nothing of it is left here; a block stays until it is lifted.
    let state = match old.as_ref().map(|old| old.state) {
        Some(ContactState::Pending) | None => ContactState::Plain,
        Some(state) => state,
    };
    if old.is_none() && tx.contact_count(me.account)? >= context.limits.contacts {
        return Err(Refusal::TooManyContacts.into());
    }
    if state == ContactState::Plain {
        request::tell_accepted(tx, me, &draft.who, news)?;
    }
    let name = draft.name.unwrap_or_else(|| draft.who.to_string().into());
    let contact = Contact {
        who: draft.who,
        name,
        group: draft.group.unwrap_or_default(),
        note: draft.note.filter(|note| !note.is_empty()),
        dialog: draft.dialog.unwrap_or_default(),
        state,
        unlisted: false,
    };
    tx.put_contact(me.account, &contact)?;
    let view = view(tx, &context.scene(), me.account, contact)?;
    news.push(to_my_others(me, Event::ContactCreated(view)));
    Ok(Reply::Done)
}

/// Absent fields stay. A change that changes nothing is done without a word to anybody.
pub(in crate::domain) fn change(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    draft: ContactDraft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check_lengths(&draft)?;
    let Some(old) = tx.contact(me.account, &draft.who)?.filter(|old| !old.unlisted) else {
        return Err(Refusal::NoSuchContact.into());
    };
    let mut new = old.clone();
    if let Some(name) = draft.name {
        new.name = name;
    }
    if let Some(group) = draft.group {
        new.group = group;
    }
    if let Some(note) = draft.note {
        new.note = Some(note).filter(|note| !note.is_empty());
    }
    if let Some(dialog) = draft.dialog {
        new.dialog = dialog;
    }
    if new == old {
        return Ok(Reply::Done);
    }
    tx.put_contact(me.account, &new)?;
    let changed = Changed {
        name: new.name != old.name,
        group: new.group != old.group,
        note: new.note != old.note,
        dialog: new.dialog != old.dialog,
        state: false,
    };
    let contact = view(tx, &context.scene(), me.account, new)?;
    news.push(to_my_others(me, Event::ContactUpdated { contact, changed }));
    Ok(Reply::Done)
}

/// The chat with the contact stays.
pub(in crate::domain) fn remove(
    tx: &mut Tx<'_>,
    me: &Caller,
    who: &Address,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let Some(old) = tx.contact(me.account, who)?.filter(|old| !old.unlisted) else {
        return Err(Refusal::NoSuchContact.into());
    };
    match old.state {
        // Whoever is blocked stays blocked.
        ContactState::Blocked => tx.put_contact(me.account, &request::bare(who, old.state))?,
        ContactState::Plain | ContactState::Requested | ContactState::Pending => {
            tx.remove_contact(me.account, who)?;
        }
    }
    news.push(to_my_others(me, Event::ContactRemoved { who: called(tx, who)? }));
    Ok(Reply::Done)
}

/// A contact in its owner's words, with what its owner may see of them.
pub(in crate::domain) fn view(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    contact: Contact,
) -> Result<ContactView, StoreError> {
    let account = match contact.who.is_local(scene.home) {
        true => look.account_by_address(&contact.who)?,
        false => None,
    };
    let (mut seen, mut last_message) = (None, None);
    if let Some(account) = account {
        seen = presence::of(look, scene, me, account)?;
        if contact.dialog {
            last_message = chat::last_message(look, me, account)?.map(Box::new);
        }
    }
    Ok(ContactView {
        who: called(look, &contact.who)?,
        name: contact.name,
        group: contact.group,
        note: contact.note,
        dialog: contact.dialog,
        state: contact.state,
        unlisted: contact.unlisted,
        last_seen: seen.and_then(|seen| seen.at),
        online: seen.map(|seen| seen.online),
        last_message,
    })
}

/// Whether `owner` wants nothing from `from`.
pub(in crate::domain) fn is_blocked(
    look: &impl Look,
    owner: AccountNo,
    from: &Address,
) -> Result<bool, StoreError> {
    Ok(look.contact(owner, from)?.is_some_and(|c| c.state == ContactState::Blocked))
}

fn exists(look: &impl Look, who: &Address) -> Result<bool, StoreError> {
    let Some(no) = look.account_by_address(who)? else { return Ok(false) };
    Ok(match account::row(look, no)?.state {
        AccountState::Active | AccountState::Disabled => true,
        AccountState::Removed | AccountState::Remote => false,
    })
}

fn check_lengths(draft: &ContactDraft) -> Result<(), Refusal> {
    let group = draft.group.as_deref().unwrap_or_default();
    let fits = draft.name.as_ref().is_none_or(|n| n.len() <= CONTACT_NAME_BYTES_MAX)
        && draft.note.as_ref().is_none_or(|n| n.len() <= CONTACT_NOTE_BYTES_MAX)
        && group.len() <= CONTACT_GROUPS_MAX
        && group.iter().all(|g| g.len() <= CONTACT_GROUP_BYTES_MAX);
    if fits { Ok(()) } else { Err(Refusal::FieldTooLong) }
}

pub(in crate::domain) fn to_my_others(me: &Caller, event: Event) -> News {
    News::to_one(me.account, Some(me.key), event)
}

/// What somebody in a list of contacts is called, who may live elsewhere.
pub(in crate::domain) fn called(look: &impl Look, who: &Address) -> Result<Name, StoreError> {
    match look.account_by_address(who)? {
        Some(account) => chat::name(look, account),
        None => Ok(Name::new(who.to_string(), Tag::Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{HOME, Me, World, address, contact, heard_by, login, refused};
    use crate::domain::words::{Command, Order, Outcome, Query};

    fn add(world: &mut World, me: Me, who: &str) -> Outcome {
        world.ask(me, Command::AddContact(contact(who)))
    }

    fn list(world: &World, me: Me, after: Option<&str>, count: u32) -> (Vec<ContactView>, bool) {
        let query = Query::Contacts { after: after.map(address), count, unlisted: true };
        match world.read(me, &query) {
            Ok(Reply::Contacts { contacts, more }) => (contacts, more),
            other => panic!("{other:?}"),
        }
    }

    fn names(contacts: &[ContactView]) -> Vec<&str> {
        contacts.iter().map(|c| &*c.who).collect()
    }

    #[test]
    fn a_bare_contact_is_named_by_its_address() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let outcome = add(&mut world, alice, "bob");
        assert!(matches!(outcome.reply, Ok(Reply::Done)));
        let (contacts, more) = list(&world, alice, None, 10);
        assert!(!more);
        let [view] = &contacts[..] else { panic!("{contacts:?}") };
        assert_eq!((&*view.who, &*view.name), ("bob@im.test", "bob@im.test"));
        assert!(view.group.is_empty() && view.note.is_none() && !view.dialog);
        // The owner's other sessions hear it, nobody else does.
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        assert_eq!(heard.len(), outcome.news.len());
        assert_eq!(*heard[0], Event::ContactCreated(view.clone()));
        assert!(heard_by(&outcome, bob.account, None).is_empty());
    }

    #[test]
    fn contacts_here_must_exist_and_others_are_believed() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        assert_eq!(refused(&add(&mut world, alice, "nobody")), Refusal::NoSuchAccount);
        assert_eq!(refused(&add(&mut world, alice, "bob@im.test/chat")), Refusal::NoSuchAccount);
        for who in ["bob", "alice", "dave@elsewhere.test", "bob@im.test:99"] {
            assert!(add(&mut world, alice, who).reply.is_ok(), "{who}");
            assert_eq!(refused(&add(&mut world, alice, who)), Refusal::AlreadyThere, "{who}");
        }
        world.order(Order::RemoveUser { login: login("bob") });
        let carol = {
            world.add_user("carol");
            world.log_in("carol")
        };
        assert_eq!(refused(&add(&mut world, carol, "bob")), Refusal::NoSuchAccount);
    }

    #[test]
    fn a_change_leaves_absent_fields_alone() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let full = ContactDraft {
            name: Some("Bob".into()),
            group: Some(vec!["friends".into(), "chess".into()]),
            note: Some("plays black".into()),
            dialog: Some(true),
            ..contact("bob")
        };
        world.ask(alice, Command::AddContact(full.clone()));
        let renamed = ContactDraft { name: Some("Robert".into()), ..contact("bob") };
        let outcome = world.ask(alice, Command::ChangeContact(renamed.clone()));
        let (contacts, _) = list(&world, alice, None, 10);
        let view = &contacts[0];
        assert_eq!((&*view.name, view.note.as_deref()), ("Robert", Some("plays black")));
        assert_eq!((view.group.len(), view.dialog), (2, true));
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        let changed = Changed { name: true, ..Changed::default() };
        assert_eq!(*heard[0], Event::ContactUpdated { contact: view.clone(), changed });

        // What changes nothing is no news.
        for draft in [renamed, contact("bob")] {
            let outcome = world.ask(alice, Command::ChangeContact(draft));
            assert!(outcome.reply.is_ok() && outcome.news.is_empty());
        }
        let bare =
            ContactDraft { note: Some("".into()), group: Some(Vec::new()), ..contact("bob") };
        assert_eq!(world.ask(alice, Command::ChangeContact(bare.clone())).news.len(), 1);
        let (contacts, _) = list(&world, alice, None, 10);
        assert!(contacts[0].note.is_none() && contacts[0].group.is_empty());
        assert!(world.ask(alice, Command::ChangeContact(bare)).news.is_empty());
    }

    #[test]
    fn what_is_not_there_is_neither_changed_nor_removed() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        add(&mut world, bob, "bob");
        let change = Command::ChangeContact(contact("bob"));
        assert_eq!(refused(&world.ask(alice, change)), Refusal::NoSuchContact);
        let remove = || Command::RemoveContact { who: address("bob") };
        assert_eq!(refused(&world.ask(alice, remove())), Refusal::NoSuchContact);
        add(&mut world, alice, "bob");
        let outcome = world.ask(alice, remove());
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        assert_eq!(*heard[0], Event::ContactRemoved { who: "bob@im.test".into() });
        assert!(list(&world, alice, None, 10).0.is_empty());
        assert_eq!(list(&world, bob, None, 10).0.len(), 1);
    }

    #[test]
    fn fields_and_contacts_have_limits() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let long = |n: usize| Some("x".repeat(n).into_boxed_str());
        let groups = |n: usize, bytes: usize| Some(vec![long(bytes).unwrap(); n]);
        let fits = ContactDraft {
            name: long(CONTACT_NAME_BYTES_MAX),
            note: long(CONTACT_NOTE_BYTES_MAX),
            group: groups(CONTACT_GROUPS_MAX, CONTACT_GROUP_BYTES_MAX),
            ..contact("bob")
        };
        let bare = || contact("bob");
        for draft in [
            ContactDraft { name: long(CONTACT_NAME_BYTES_MAX + 1), ..bare() },
            ContactDraft { note: long(CONTACT_NOTE_BYTES_MAX + 1), ..bare() },
            ContactDraft { group: groups(CONTACT_GROUPS_MAX + 1, 1), ..bare() },
            ContactDraft { group: groups(1, CONTACT_GROUP_BYTES_MAX + 1), ..bare() },
        ] {
            let refusal = refused(&world.ask(alice, Command::AddContact(draft.clone())));
            assert_eq!(refusal, Refusal::FieldTooLong);
            let refusal = refused(&world.ask(alice, Command::ChangeContact(draft)));
            assert_eq!(refusal, Refusal::FieldTooLong);
        }
        assert!(world.ask(alice, Command::AddContact(fits)).reply.is_ok());
        world.limits.contacts = 2;
        assert!(add(&mut world, alice, "alice").reply.is_ok());
        assert_eq!(refused(&add(&mut world, alice, "x@y.test")), Refusal::TooManyContacts);
        assert_eq!(refused(&add(&mut world, alice, "bob")), Refusal::AlreadyThere);
    }

    #[test]
    fn the_list_comes_in_pages_by_address() {
        let (mut world, [alice]) = World::of(["alice"]);
        let all: Vec<String> = (0..300).map(|n| format!("u{n:03}@far.test")).collect();
        for who in all.iter().rev() {
            add(&mut world, alice, who);
        }
        let (contacts, more) = list(&world, alice, None, 300);
        assert!(!more && names(&contacts) == all);
        let (contacts, more) = list(&world, alice, None, 299);
        assert!(more && names(&contacts) == all[..299]);
        let (contacts, more) = list(&world, alice, Some("u298@far.test"), 10);
        assert!(!more && names(&contacts) == ["u299@far.test"]);
        let (contacts, more) = list(&world, alice, None, u32::MAX);
        assert!(!more && contacts.len() == 300);
    }

    #[test]
    fn who_is_not_listed_takes_no_place_among_those_who_are() {
        let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
        for me in [bob, carol] {
            let (who, note) = (address("alice"), "".into());
            assert!(world.ask(me, Command::RequestContact { who, note }).reply.is_ok());
        }
        add(&mut world, alice, "dave");
        add(&mut world, alice, "zoe@far.test");
        let listed = |after: Option<&str>, count| {
            let query = Query::Contacts { after: after.map(address), count, unlisted: false };
            match world.read(alice, &query) {
                Ok(Reply::Contacts { contacts, more }) => {
                    (contacts.iter().map(|c| c.who.to_string()).collect::<Vec<_>>(), more)
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(listed(None, 1), (vec!["dave@im.test".into()], true));
        let last = (vec!["zoe@far.test".into()], false);
        assert_eq!(listed(Some("dave"), 1), last);
        assert_eq!(list(&world, alice, None, 4).0.len(), 4);
        assert!(list(&world, dave, None, 4).0.is_empty());
    }

    #[test]
    fn last_seen_is_for_those_whom_they_know() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        add(&mut world, alice, "bob");
        let seen = |world: &mut World| {
            world.store.flush().unwrap();
            list(world, alice, None, 1).0[0].last_seen
        };
        world.ask(bob, Command::Newest);
        let at = world.now;
        assert_eq!(seen(&mut world), None);
        add(&mut world, bob, "alice");
        assert_eq!(seen(&mut world), Some(at));
        // A clock that was set back since does not show a time to come.
        world.now.0 -= 5000;
        assert_eq!(seen(&mut world), Some(world.now));
        world.force(|tx| {
            let contact = tx.contact(bob.account, &address("alice"))?.unwrap();
            tx.put_contact(bob.account, &Contact { state: ContactState::Blocked, ..contact })
        });
        assert_eq!(seen(&mut world), None);
        assert_eq!(HOME, &*address("alice").host);
    }
}
