//! Backup, and the walk that finds faults.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::domain::nouns::AccountState;
use crate::domain::words::{Range, SessionKind, Take};
use crate::store::crash::{Chance, Disk};
use crate::store::line;
use crate::store::tlv;

/// Two accounts and `count` messages in three chats.
fn filled(store: &mut Store, count: u32) {
    join(store);
    store
        .write(|tx| {
            for (no, name) in [(ALICE, "alice"), (BOB, "bob")] {
                let public_id = u64::from(no.0) * 100;
                tx.put_account(&Account { public_id, ..account(no, name) })?;
                let session = Session {
                    account: no,
                    kind: SessionKind::Person,
                    created: Timestamp(1),
                    used: Timestamp(1),
                    app: None,
                };
                tx.put_session(SessionKey([no.0 as u8; 16]), &session)?;
            }
            tx.touch_last_seen(ALICE, Timestamp(1_000_000))
        })
        .unwrap();
    for batch in 0..count / 30 {
        store
            .write(|tx| {
                for i in batch * 30..(batch + 1) * 30 {
                    let text: Arc<str> = format!("message {i}").into();
                    let other = ChatId::direct(ALICE, AccountNo(1 + i % 3));
                    tx.append(other, ALICE, Timestamp(9), Kind::Text, &text, None)?;
                }
                Ok(())
            })
            .unwrap();
    }
    store.flush().unwrap();
}

pub(super) fn faults(store: &Store) -> Vec<String> {
    store.reader().verify(&mut |_| {}).unwrap().faults
}

#[test]
fn a_sound_database_has_no_faults() {
    let mut store = memory();
    filled(&mut store, 3000);
    let mut heard = Vec::new();
    let verdict = store.reader().verify(&mut |done| heard.push(done)).unwrap();
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert_eq!((verdict.accounts, verdict.chats, verdict.messages), (2, 3, 3000));
    assert!(heard.len() > 10 && heard.is_sorted() && *heard.last().unwrap() > 3000);
}

/// Puts a record where the rules would never put it.
pub(super) fn plant(store: &mut Store, message: &Message, spoil: bool) {
    let merged = (message.chat.0, message.id.0);
    let arrived = (message.id.0, message.chat.0);
    store
        .write(|tx| {
            tx.begin()?;
            let (messages, recent) = tx.tables.message_tables()?;
            let waits = recent.has(arrived)?;
            let (table, key) = if waits { (recent, arrived) } else { (messages, merged) };
            let mut record = Vec::new();
            line::put_message(message, &mut record);
            tlv::seal(&mut record, <(u64, u64) as redb::Value>::as_bytes(&key).as_ref());
            if spoil {
                record[3] ^= 1;
            }
            table.insert(key, &record)
        })
        .unwrap();
}

#[test]
fn planted_faults_are_each_named() {
    let mut store = memory();
    filled(&mut store, 3000);
    let next = |store: &mut Store| {
        let text: Arc<str> = "x".into();
        let chat = ChatId::direct(BOB, AccountNo(3));
        let sent = store.write(|tx| tx.append(chat, BOB, Timestamp(50), Kind::Text, &text, None));
        sent.unwrap()
    };
    let all: Vec<Message> = (0..12).map(|_| next(&mut store)).collect();
    plant(&mut store, &Message { seq: Seq(9), ..all[1].clone() }, false);
    plant(&mut store, &Message { previous: MessageId(1), ..all[4].clone() }, false);
    plant(&mut store, &Message { time: Timestamp(49), ..all[7].clone() }, false);
    plant(&mut store, &all[10], true);
    let found = faults(&store);
    let named = |i: usize, what: &str| {
        let (id, chat) = (all[i].id.0, all[i].chat.0);
        let people = "bob@im.test and account 3";
        let begin = format!("message {id} of chat {chat} ({people}): {what}");
        assert!(found.iter().any(|f| f.starts_with(&begin)), "{begin}: {found:#?}");
    };
    named(1, "its seq is 9 after 1");
    named(2, "its seq is 3 after 9");
    named(4, "it names 1");
    named(7, "its time 49");
    named(10, "its check does not match");
    assert_eq!(found.len(), 5, "{found:#?}");

    // What is shown for it has its place, and its text is gone.
    let shown = |store: &Store| {
        let read = store.reader().read(|here| here.message(all[10].chat, all[10].id));
        let shown = read.unwrap().expect("it is there");
        assert_eq!((shown.seq, shown.previous), (all[10].seq, all[10].previous));
        assert!(shown.text.is_empty() && shown.extra.is_some_and(|extra| extra.deleted));
        let named = store.reader().quarantined();
        let begin = format!("message {} of chat {} ", all[10].id.0, all[10].chat.0);
        assert!(named.len() == 1 && named[0].starts_with(&begin), "{named:?}");
        assert!(named[0].ends_with("(bob@im.test and account 3): its check does not match"));
    };
    shown(&store);
    // It is taken along as what it is.
    store.merge().unwrap();
    assert_eq!(faults(&store), found);
    shown(&store);
}

#[test]
fn rows_that_lead_nowhere_are_named() {
    let mut store = memory();
    filled(&mut store, 3000);
    store
        .write(|tx| {
            tx.begin()?;
            tx.tables.accounts_mut()?.remove(BOB.0)?;
            tx.tables.sessions_by_account_mut()?.remove((ALICE.0, &[1; 16]))?;
            tx.tables.members_mut()?.insert((7, 7), b"no record at all")
        })
        .unwrap();
    let found = faults(&store);
    let told = [
        "addresses \"bob@im.test\"",
        "public 200: what it names is gone",
        "sessions [1, 1",
        "members (7, 7): its check",
    ];
    for what in told {
        assert!(found.iter().any(|fault| fault.contains(what)), "{what}: {found:#?}");
    }
    assert_eq!(found.len(), told.len(), "{found:#?}");
}

#[test]
fn a_backup_is_a_smaller_database_with_everything_in_it() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    filled(&mut store, 3000);
    // Chats that grow in turns leave half-full pages.
    let text: Arc<str> = "x".repeat(300).into();
    for round in 0..60 {
        store
            .write(|tx| {
                for no in 10..110 {
                    let chat = ChatId::direct(BOB, AccountNo(no * 7 % 101 + round % 2));
                    tx.append(chat, BOB, Timestamp(9), Kind::Text, &text, None)?;
                }
                Ok(())
            })
            .unwrap();
    }
    let target = home.path().join("backup.redb");
    let verdict = store.reader().backup(&target, &mut |_| {}).unwrap();
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert_eq!((verdict.accounts, verdict.messages), (2, 9000));
    assert!(store.reader().backup(&target, &mut |_| {}).is_err(), "it is there already");
    assert!(!home.path().join("backup.redb.tmp").exists());
    let size = |name: &str| std::fs::metadata(home.path().join(name)).unwrap().len();
    assert!(size("backup.redb") < size("msimd.redb") * 3 / 4);

    let last = store.reader().read(|here| here.head(chat())).unwrap();
    let mut copy = Store::open(Place::File(target), OPTIONS).unwrap();
    assert_eq!(faults(&copy), Vec::<String>::new());
    let all = |store: &Store| {
        let everything = crate::domain::words::Range {
            after: MessageId(0),
            before: MessageId::END,
            since: None,
            count: 5000,
            take: crate::domain::words::Take::First,
        };
        store.reader().read(|here| {
            Ok((here.accounts()?, here.messages(chat(), &everything)?, here.last_seen(ALICE)?))
        })
    };
    assert_eq!(all(&copy).unwrap(), all(&store).unwrap());
    let next = send(&mut copy, ALICE, "goes on");
    assert!(next.id > last.id && next.previous == last.id);
}

#[test]
fn a_backup_takes_a_damaged_record_along_and_names_it() {
    let home = tempfile::tempdir().unwrap();
    let mut store = memory();
    filled(&mut store, 3000);
    let bad = send(&mut store, ALICE, "x");
    plant(&mut store, &bad, true);
    let target = home.path().join("backup.redb");
    let verdict = store.reader().backup(&target, &mut |_| {}).unwrap();
    assert_eq!(verdict.faults.len(), 1);
    let copy = Store::open(Place::File(target), OPTIONS).unwrap();
    assert_eq!(faults(&copy), verdict.faults);
}

#[test]
fn a_damaged_row_is_named_and_other_rows_go_on() {
    let mut store = memory();
    filled(&mut store, 3000);
    store
        .write(|tx| {
            tx.begin()?;
            tx.tables.accounts_mut()?.insert(BOB.0, b"....")
        })
        .unwrap();
    // Of bob there is his name left, by which his chats are called.
    let bob = store.reader().read(|here| here.account(BOB)).unwrap().expect("his name");
    assert_eq!((bob.address.to_string().as_str(), bob.verifier), ("bob@im.test", None));
    assert_eq!(bob.state, AccountState::Disabled);
    let named = store.reader().quarantined();
    assert!(named.len() == 1 && named[0].starts_with("accounts 2:"), "{named:?}");
    assert!(store.reader().read(|here| here.account(ALICE)).unwrap().is_some());
    assert_eq!(store.reader().read(|here| here.accounts()).unwrap().len(), 1);
    let bob = Account { no: BOB, ..store.reader().read(|h| h.account(ALICE)).unwrap().unwrap() };
    assert!(matches!(store.write(|tx| tx.put_account(&bob)), Err(StoreError::Damaged(_))));
    send(&mut store, ALICE, "still there");
}

#[test]
fn a_damaged_message_keeps_nobody_from_writing() {
    let mut store = memory();
    join(&mut store);
    let first = send_at(&mut store, ALICE, "x", Timestamp(70), Some("c"));
    let bad = send(&mut store, BOB, "x");
    plant(&mut store, &bad, true);
    store.reopen().unwrap();
    let head = store.reader().read(|here| here.head(chat())).unwrap();
    assert_eq!(head, Head { id: bad.id, seq: Seq(2), time: Timestamp(70) });
    let next = send(&mut store, ALICE, "y");
    assert_eq!((next.previous, next.seq, next.time), (bad.id, Seq(3), Timestamp(70)));
    let known = store.write(|tx| tx.cookie(chat(), ALICE, "c")).unwrap();
    assert_eq!(known.map(|head| head.id), Some(first.id));
    assert_eq!(faults(&store).len(), 1);
}

#[test]
fn a_chat_with_damaged_messages_is_read_around_them() {
    let mut store = memory();
    join(&mut store);
    let all: Vec<Message> = (1..=8)
        .map(|n| send_at(&mut store, ALICE, &format!("text {n}"), Timestamp(n), None))
        .collect();
    let everything = |take, count| Range {
        after: MessageId(0),
        before: MessageId::END,
        since: None,
        count,
        take,
    };
    // The first, two in the middle, and the last.
    for n in [0, 3, 4, 7] {
        plant(&mut store, &all[n], true);
    }
    for merged in [false, true] {
        if merged {
            store.merge().unwrap();
        }
        store.reopen().unwrap();
        let read = |range| store.reader().read(|here| here.messages(chat(), &range)).unwrap().0;
        let page = read(everything(Take::First, 100));
        for (found, right) in page.iter().zip(&all) {
            let place = (right.id, right.previous, right.seq);
            assert_eq!((found.id, found.previous, found.seq), place, "merged: {merged}");
            assert!(found.text.is_empty() || found.text == right.text);
        }
        let gone = page.iter().filter(|m| m.text.is_empty()).map(|m| m.seq.0);
        assert_eq!(gone.collect::<Vec<_>>(), [1, 4, 5, 8]);
        assert_eq!(read(everything(Take::Last, 3)), page[5..]);
        for right in &all {
            let at = store.reader().read(|here| here.message_at(chat(), right.seq)).unwrap();
            assert_eq!(at, Some(right.id), "merged: {merged}");
        }
        let none = store.reader().read(|here| here.message_at(chat(), Seq(9))).unwrap();
        assert_eq!(none, None);
        // Who has read how far, and what is found, are known all the same.
        let mine = store.write(|tx| tx.member(ALICE, chat())).unwrap().unwrap();
        assert_eq!(mine.read.seq, Seq(7));
        let mut seen = 0;
        let end = MessageId::END;
        let glance = |here: &Snapshot| {
            here.glance(chat(), MessageId(0), end, &mut |_| {
                seen += 1;
                true
            })
        };
        store.reader().read(glance).unwrap();
        assert_eq!(seen, 4);
        assert_eq!(
            store.reader().quarantined().iter().filter(|n| n.contains("message")).count(),
            4
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_never_comes_back_as_another_text() {
    let disk = Disk::new();
    let mut store = Store::open(Place::Backend(Arc::new(disk.clone())), OPTIONS).unwrap();
    filled(&mut store, 300);
    store.close().unwrap();
    let trace = disk.trace();
    let sound = trace.cuts().image(trace.len(), &mut Chance::new(0));
    let chats = [1, 2, 3].map(|other| ChatId::direct(ALICE, AccountNo(other)));
    let all = |store: &Store| {
        let mut all = Vec::new();
        for chat in chats {
            for seq in 1..=100 {
                all.push(store.reader().read(|here| {
                    let id = here.message_at(chat, Seq(seq))?;
                    Ok(id.map(|id| here.message(chat, id)).transpose()?.flatten())
                }));
            }
        }
        all
    };
    let right = {
        let store = Store::open(Place::Backend(Arc::new(Disk::holding(sound.clone()))), OPTIONS);
        all(&store.unwrap())
    };
    let mut chance = Chance::new(3);
    for _ in 0..100 {
        let mut image = sound.clone();
        let byte = chance.below(image.len());
        image[byte] ^= 1 << chance.below(8);
        let place = Place::Backend(Arc::new(Disk::holding(image)));
        // redb may stop at a page that it cannot make sense of: that is no wrong text.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let Ok(store) = Store::open(place, OPTIONS) else {
                return None;
            };
            Some((all(&store), faults(&store)))
        }));
        let Ok(Some((found, faults))) = read else {
            continue;
        };
        for (found, right) in found.iter().zip(&right) {
            match found {
                Ok(found) if Some(found) == right.as_ref().ok() => {}
                Ok(Some(Message { text, extra: Some(extra), .. }))
                    if text.is_empty() && extra.deleted && !faults.is_empty() => {}
                Ok(Some(message)) => panic!("byte {byte}: {message:?}"),
                Ok(None) | Err(_) => assert!(!faults.is_empty(), "byte {byte}: a silent loss"),
            }
        }
    }
}
