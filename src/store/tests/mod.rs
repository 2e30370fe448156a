//! The store as its users see it.

mod changing;
mod chats;
mod counting;
mod cuts;
mod days;
mod gone;
mod groups;
mod keeping;
mod merging;
mod noting;
mod nouns;
mod places;
mod secrets;

use std::sync::Arc;

use super::*;
use crate::domain::nouns::{Access, AccountState, ChatKind, Mark};
use crate::domain::words::{Kind, Verifier};
use crate::store::arrivals::Sight;
use crate::store::tables::Shelf;

const OPTIONS: Options = Options { cache_bytes: 1 << 20, free_space: 0 };
const ALICE: AccountNo = AccountNo(1);
const BOB: AccountNo = AccountNo(2);

fn memory() -> Store {
    Store::open(Place::Memory, OPTIONS).unwrap()
}

fn at(directory: &tempfile::TempDir) -> Store {
    Store::open(Place::Directory(directory.path().into()), OPTIONS).unwrap()
}

fn chat() -> ChatId {
    ChatId::direct(ALICE, BOB)
}

fn address(text: &str) -> Address {
    Address::parse(text, "im.test").unwrap()
}

fn account(no: AccountNo, name: &str) -> Account {
    Account {
        no,
        address: address(name),
        verifier: Some(Verifier("hash".into())),
        state: AccountState::Active,
        created: Timestamp(5),
        public_id: 77,
    }
}

fn room() -> Chat {
    Chat {
        id: ChatId(ChatId::FIRST_GROUP + 1),
        kind: ChatKind::Group,
        address: address("room"),
        name: "Room".into(),
        about: "".into(),
        default_access: Access::DIRECT,
        open: false,
        space: None,
        removed: false,
        created: Timestamp(0),
        changed: Timestamp(0),
        public_id: 78,
        retention: 0,
    }
}

fn join(store: &mut Store) {
    let member = Member::default();
    store
        .write(|tx| {
            tx.put_member(ALICE, chat(), &member)?;
            tx.put_member(BOB, chat(), &member)
        })
        .unwrap();
}

fn send(store: &mut Store, from: AccountNo, text: &str) -> Message {
    send_at(store, from, text, Timestamp(1), None)
}

fn send_at(
    store: &mut Store,
    from: AccountNo,
    text: &str,
    now: Timestamp,
    cookie: Option<&str>,
) -> Message {
    let text = Arc::from(text);
    store.write(|tx| tx.append(chat(), from, now, Kind::Text, &text, cookie)).unwrap()
}

fn mark(message: &Message) -> Mark {
    Mark { id: message.id, seq: message.seq }
}

fn member(store: &mut Store, who: AccountNo) -> Member {
    store.write(|tx| tx.member(who, chat())).unwrap().unwrap()
}

/// What a snapshot finds in the members table.
fn on_disk(store: &Store, who: AccountNo) -> Member {
    store.reader().read(|here| here.chats_of(who)).unwrap()[0].1
}
