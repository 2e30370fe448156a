//! Accounts, sessions, contacts, groups, invitations.

use super::*;
use crate::domain::nouns::ContactState;
use crate::domain::words::SessionKind;

#[test]
fn account_numbers_are_given_once() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let numbers = store.write(|tx| Ok((tx.next_account()?, tx.next_account()?))).unwrap();
    assert_eq!(numbers, (AccountNo(1), AccountNo(2)));
    store.write(|tx| tx.put_account(&account(AccountNo(2), "bob"))).unwrap();
    assert_eq!(store.write(|tx| tx.next_account()).unwrap(), AccountNo(3));
    store.close().unwrap();
    assert_eq!(at(&home).write(|tx| tx.next_account()).unwrap(), AccountNo(3));
}

#[test]
fn an_account_is_found_by_number_and_by_address() {
    let mut store = memory();
    let alice = account(ALICE, "alice");
    let seen = store.write(|tx| {
        tx.put_account(&alice)?;
        tx.account_by_address(&alice.address)
    });
    assert_eq!(seen.unwrap(), Some(ALICE), "in the same turn, too");
    let gone = Account { verifier: None, state: AccountState::Removed, ..alice.clone() };
    store.write(|tx| tx.put_account(&gone)).unwrap();
    store
        .reader()
        .read(|here| {
            assert_eq!(here.account(ALICE)?, Some(gone.clone()));
            assert_eq!(here.account(BOB)?, None);
            assert_eq!(here.account_by_address(&address("alice@im.test"))?, Some(ALICE));
            assert_eq!(here.account_by_address(&address("alice@elsewhere.test"))?, None);
            assert_eq!(here.accounts()?, std::slice::from_ref(&gone));
            Ok(())
        })
        .unwrap();
}

#[test]
fn groups_share_the_name_space_of_accounts() {
    let mut store = memory();
    let room = room();
    store.write(|tx| tx.put_chat(&room)).unwrap();
    store
        .reader()
        .read(|here| {
            assert_eq!(here.chat(room.id)?, Some(room.clone()));
            assert_eq!(here.chat_by_address(&room.address)?, Some(room.id));
            assert_eq!(here.account_by_address(&room.address)?, None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn sessions_are_listed_by_account_and_end_in_both_tables() {
    let mut store = memory();
    let session = |account| Session {
        account,
        kind: SessionKind::Person,
        created: Timestamp(1),
        used: Timestamp(2),
        app: None,
    };
    let key = |n| SessionKey([n; 16]);
    store
        .write(|tx| {
            tx.put_session(key(0), &session(ALICE))?;
            tx.put_session(key(255), &session(ALICE))?;
            tx.put_session(key(1), &session(BOB))?;
            tx.put_session(key(255), &Session { used: Timestamp(9), ..session(ALICE) })
        })
        .unwrap();
    let of = |store: &Store, who| store.reader().read(|here| here.sessions_of(who)).unwrap();
    assert_eq!(of(&store, ALICE), [key(0), key(255)]);
    let found = store.reader().read(|here| here.session(key(255))).unwrap();
    assert_eq!(found.unwrap().used, Timestamp(9));
    store.write(|tx| tx.remove_session(key(0))).unwrap();
    let commits = store.work().commits;
    store.write(|tx| tx.remove_session(key(0))).unwrap();
    assert_eq!(store.work().commits, commits, "there is nothing to remove");
    assert_eq!(of(&store, ALICE), [key(255)]);
    assert_eq!(of(&store, BOB), [key(1)]);
    assert_eq!(store.reader().read(|here| here.session(key(0))).unwrap(), None);
}

#[test]
fn contacts_come_in_order_of_address_and_page_by_page() {
    let mut store = memory();
    let contact = |name: &str| Contact {
        who: address(name),
        name: name.into(),
        group: vec!["friends".into()],
        note: None,
        dialog: false,
        state: ContactState::Plain,
        unlisted: false,
    };
    store
        .write(|tx| {
            for name in ["dora", "bob@b.test", "carol", "bob@a.test"] {
                tx.put_contact(ALICE, &contact(name))?;
            }
            tx.put_contact(BOB, &contact("alice"))?;
            tx.put_contact(AccountNo(u32::MAX), &contact("alice"))
        })
        .unwrap();
    let reader = store.reader();
    let names = |after: Option<&str>, count| {
        let after = after.map(address);
        let page = reader.read(|here| here.contacts(ALICE, after.as_ref(), count)).unwrap();
        page.into_iter().map(|c| c.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 9), ["bob@a.test", "bob@b.test", "carol", "dora"]);
    assert_eq!(names(None, 2), ["bob@a.test", "bob@b.test"]);
    assert_eq!(names(Some("bob@b.test"), 9), ["carol", "dora"]);
    assert_eq!(names(Some("zoe"), 9), [""; 0]);
    let counts = reader
        .read(|here| Ok((here.contact_count(ALICE)?, here.contact_count(AccountNo(u32::MAX))?)));
    assert_eq!(counts.unwrap(), (4, 1));
    store.write(|tx| tx.remove_contact(ALICE, &address("carol"))).unwrap();
    assert_eq!(reader.read(|here| here.contact(ALICE, &address("carol"))).unwrap(), None);
    let bob = reader.read(|here| here.contact(ALICE, &address("bob@a.test"))).unwrap();
    assert_eq!(bob, Some(contact("bob@a.test")));
}

#[test]
fn invitations_come_and_go() {
    let mut store = memory();
    let invite = Invite { uses: 2, expires: Timestamp(7) };
    store.write(|tx| tx.put_invite(&[3; 16], &invite)).unwrap();
    assert_eq!(store.reader().read(|here| here.invite(&[3; 16])).unwrap(), Some(invite));
    store.write(|tx| tx.remove_invite(&[3; 16])).unwrap();
    assert_eq!(store.reader().read(|here| here.invite(&[3; 16])).unwrap(), None);
}

#[test]
fn to_want_nothing_from_others_is_something_else_than_to_say_nothing() {
    let mut store = memory();
    for access in [None, Some(Access::NONE), Some(Access::BANNED), Some(Access::OWNER)] {
        let profile = Profile { access, ..Profile::default() };
        store.write(|tx| tx.put_profile(ALICE, &profile)).unwrap();
        let found = store.reader().read(|here| here.profile(ALICE)).unwrap();
        assert_eq!(found.unwrap_or_default().access, access);
    }
}

#[test]
fn what_somebody_was_here_with_outlives_the_time() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    store
        .write(|tx| {
            tx.put_account(&account(ALICE, "alice"))?;
            tx.touch_last_seen(ALICE, Timestamp(1_000_000))?;
            tx.put_agent(ALICE, "a client")
        })
        .unwrap();
    store.write(|tx| tx.touch_last_seen(ALICE, Timestamp(9_000_000))).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let seen = at(&home).reader().read(|here| Ok((here.last_seen(ALICE)?, here.agent(ALICE)?)));
    assert_eq!(seen.unwrap(), (Some(Timestamp(9_000_000)), "a client".into()));
}

#[test]
fn a_part_that_was_left_is_shown_to_who_asks_for_it_alone() {
    let mut store = memory();
    join(&mut store);
    let last = send(&mut store, BOB, "x");
    let part = Member { read: mark(&last), delivered: mark(&last), ..Member::default() };
    let gone = Member { left: true, begun: true, ..part };
    store.write(|tx| tx.put_member(ALICE, chat(), &gone)).unwrap();
    // What is not there moves nowhere.
    let next = send(&mut store, BOB, "y");
    store.write(|tx| tx.move_marks(ALICE, chat(), mark(&next), mark(&next))).unwrap();
    assert_eq!(store.write(|tx| tx.member(ALICE, chat())).unwrap(), None);
    store
        .reader()
        .read(|here| {
            assert_eq!((here.part(ALICE, chat())?, here.chats_of(ALICE)?), (None, Vec::new()));
            assert_eq!(here.left(ALICE, chat())?, Some(gone));
            assert_eq!((here.begun(ALICE)?, here.begun(BOB)?), (vec![chat()], Vec::new()));
            assert_eq!(here.left(BOB, chat())?, None);
            Ok(())
        })
        .unwrap();
    assert!(store.reader().verify(&mut |_| {}).unwrap().faults.is_empty());
}
