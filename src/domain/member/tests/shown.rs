//! What people are shown of their part in a group.

use crate::domain::id::{AccountNo, MessageId, SessionKey};
use crate::domain::testing::{World, address, heard_by, login, refused};
use crate::domain::words::{Command, Event, Order, Outcome, Refusal};

/// Who owns the chat by what somebody was shown.
fn owner_shown(outcome: &Outcome, to: AccountNo, except: Option<SessionKey>) -> String {
    let heard = heard_by(outcome, to, except);
    let shown = heard.iter().find_map(|event| match &***event {
        Event::ChatChanged(info) => info.owner.clone(),
        _ => None,
    });
    shown.unwrap().to_string()
}

#[test]
fn who_was_here_before_is_invited_and_not_in_at_once() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    world.give(alice, "garden", "bob", "N");
    let (chat, who) = (address("garden"), address("bob"));
    let invite = Command::Invite { chat: chat.clone(), who, access: None };
    assert!(world.ask(alice, invite).reply.is_ok());
    assert_eq!(refused(&world.send(bob, "garden", "x")), Refusal::NoSuchChat);
    assert!(world.ask(bob, Command::Join { chat }).reply.is_ok());
    world.sent(bob, "garden", "x");
}

#[test]
fn a_chat_has_one_owner_whoever_looks() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[bob, alice]);
    world.give(bob, "garden", "alice", "RWPO");
    let outcome = world.want(alice, "garden", "RWPO");
    assert_eq!(owner_shown(&outcome, alice.account, Some(alice.key)), "alice@im.test");
    assert_eq!(owner_shown(&outcome, bob.account, None), "alice@im.test");
}

#[test]
fn who_inherits_a_chat_is_shown_it() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.group_of("garden", &[alice, bob, carol]);
    let outcome = world.order(Order::RemoveUser { login: login("alice") });
    assert_eq!(owner_shown(&outcome, bob.account, None), "bob@im.test");
}

#[test]
fn who_is_not_in_it_has_read_nothing_there() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    world.sent(bob, "garden", "x");
    let (chat, who) = (address("garden"), address("bob"));
    assert!(world.ask(alice, Command::Kick { chat, who, ban: true }).reply.is_ok());
    let banned = &world.members(alice, "garden")[1];
    assert_eq!((&*banned.who, banned.read), ("bob@im.test", MessageId(0)));
}
