//! Messages that are files. Their bytes never come by here: they are in their place before anybody
//! is told.

use crate::domain::chat;
use crate::domain::id::Address;
use crate::domain::message::{enter, post};
use crate::domain::nouns::{Entry, Extra};
use crate::domain::session::Caller;
use crate::domain::words::{Kind, News, Refusal, Reply, StoredFile, is_file_name};
use crate::domain::{Context, Fault};
use crate::store::Tx;

/// Whether somebody may write there.
pub(in crate::domain) fn may_send(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
) -> Result<Reply, Fault> {
    let found = chat::find(tx, address)?.ok_or(Refusal::NoSuchAccount)?;
    enter(tx, me.account, &found)?;
    Ok(Reply::Done)
}

/// A file that is here already, as a message.
pub(in crate::domain) fn send_file(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    file: Box<StoredFile>,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if !is_file_name(&file.name) {
        return Err(Refusal::BadField.into());
    }
    let found = chat::find(tx, address)?.ok_or(Refusal::NoSuchAccount)?;
    let room = enter(tx, me.account, &found)?;
    let name = file.name.clone();
    let extra = Extra { file: Some(file), ..Extra::default() };
    let message = post(tx, context, me, &room, Entry::telling(Kind::File, &name, extra), news)?;
    Ok(Reply::Sent { id: message.id, seq: message.seq, time: message.time, repeated: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{Me, World, address, group_draft, heard_by, refused};
    use crate::domain::words::{Command, Event, FileKey};

    fn file(me: Me, name: &str) -> Box<StoredFile> {
        let key = FileKey { owner: me.account, id: 7 };
        Box::new(StoredFile { key, name: name.into(), size: 5, sha256: [1; 32] })
    }

    #[test]
    fn a_file_is_a_message_for_those_who_may_read_it() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let stored = file(alice, "notes.txt");
        let send = Command::SendFile { chat: address("bob"), file: stored.clone() };
        let outcome = world.ask(alice, send);
        let Ok(Reply::Sent { id, .. }) = outcome.reply else { panic!("{outcome:?}") };
        let heard = heard_by(&outcome, bob.account, None);
        let Event::Message(message) = &**heard[0] else { panic!("{heard:?}") };
        assert_eq!((message.id, message.kind, &*message.text), (id, Kind::File, "notes.txt"));
        let found = message.extra.as_ref().and_then(|extra| extra.file.clone());
        assert_eq!(found, Some(stored));
        // It comes back from the disk as it went there.
        assert_eq!(world.unread(bob), std::slice::from_ref(message));
    }

    #[test]
    fn names_and_chats_are_looked_at_before_anything_is_sent() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.make(alice, group_draft("den"));
        for name in ["", " ", "a/b", "..", "a\\b", "a\nb", &"x".repeat(256)] {
            let command = Command::SendFile { chat: address("bob"), file: file(alice, name) };
            assert_eq!(refused(&world.ask(alice, command)), Refusal::BadField, "{name}");
        }
        let may = |chat| Command::MaySend { chat: address(chat) };
        assert!(world.ask(alice, may("bob")).reply.is_ok());
        assert!(world.ask(alice, may("den")).reply.is_ok());
        assert_eq!(refused(&world.ask(bob, may("den"))), Refusal::NoSuchChat);
        assert_eq!(refused(&world.ask(bob, may("nobody"))), Refusal::NoSuchAccount);
        world.ask(bob, Command::Block { who: address("alice"), on: true });
        assert_eq!(refused(&world.ask(alice, may("bob"))), Refusal::NotAllowed);
    }
}
