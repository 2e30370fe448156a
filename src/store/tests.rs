//! The store as its users see it.

use std::sync::Arc;

use super::*;
use crate::domain::id::Login;
use crate::domain::nouns::{AccountState, Mark};
use crate::domain::words::{Kind, Take};
use crate::limits::COOKIE_WINDOW;

pub(super) const OPTIONS: Options = Options { cache_bytes: 1 << 20, free_space: 0 };
pub(super) const ALICE: AccountNo = AccountNo(1);
pub(super) const BOB: AccountNo = AccountNo(2);

pub(super) fn memory() -> Store {
    Store::open(Place::Memory, OPTIONS).unwrap()
}

pub(super) fn at(directory: &tempfile::TempDir) -> Store {
    Store::open(Place::Directory(directory.path().into()), OPTIONS).unwrap()
}

pub(super) fn chat() -> ChatId {
    ChatId::direct(ALICE, BOB)
}

pub(super) fn join(store: &mut Store) {
    let member = Member::default();
    store
        .write(|tx| {
            tx.put_member(ALICE, chat(), &member)?;
            tx.put_member(BOB, chat(), &member)
        })
        .unwrap();
}

pub(super) fn send(store: &mut Store, from: AccountNo, text: &str) -> Message {
    let text = Arc::from(text);
    store.write(|tx| tx.append(chat(), from, Timestamp(1), Kind::Text, &text, None)).unwrap()
}

fn mark(message: &Message) -> Mark {
    Mark { id: message.id, seq: message.seq }
}

fn member(store: &mut Store, who: AccountNo) -> Member {
    store.write(|tx| tx.member(who, chat())).unwrap().unwrap()
}

#[test]
fn a_lone_send_is_one_sync_and_few_bytes() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    join(&mut store);
    let text: Arc<str> = "x".repeat(120).into();
    for _ in 0..2000 {
        store
            .write(|tx| {
                for _ in 0..8 {
                    tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &text, Some("abc"))?;
                }
                Ok(())
            })
            .unwrap();
    }
    let before = store.work();
    for _ in 0..100 {
        send(&mut store, ALICE, &text);
    }
    let after = store.work();
    let bytes = (after.bytes_written - before.bytes_written) / 100;
    println!("lone: {bytes} bytes, {} syncs", (after.syncs - before.syncs) as f64 / 100.0);
    let before = store.work();
    for i in 0..100 {
        store
            .write(|tx| {
                for j in 0..64 {
                    let other = AccountNo(10 + (i * j) % 50);
                    let chat = ChatId::direct(BOB, other);
                    tx.append(chat, ALICE, Timestamp(1), Kind::Text, &text, Some("abc"))?;
                }
                Ok(())
            })
            .unwrap();
    }
    let after = store.work();
    let bytes64 = (after.bytes_written - before.bytes_written) / 6400;
    println!("64: {bytes64} bytes, {} syncs", (after.syncs - before.syncs) as f64 / 100.0);
    let before = store.work();
    store.seal().unwrap();
    let after = store.work();
    println!(
        "seal {} bytes {} syncs",
        after.bytes_written - before.bytes_written,
        after.syncs - before.syncs
    );
    assert!(bytes <= 32 * 1024 && bytes64 <= 8 * 1024);
}
