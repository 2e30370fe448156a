//! What people are shown of their part in a group.

use crate::domain::id::{AccountNo, MessageId, SessionKey};
use crate::domain::nouns::Access;
use crate::domain::testing::{Me, World, address, heard_by, login, refused, whole};
use crate::domain::words::{ChatChange, Command, Event, Kind, Order, Outcome, Refusal};

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
    let invite = Command::Invite { chat: chat.clone(), who, access: None, note: "".into() };
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

fn invite(world: &mut World, me: Me, who: &str) -> Outcome {
    let (chat, who) = (address("garden"), address(who));
    world.ask(me, Command::Invite { chat, who, access: None, note: "".into() })
}

fn kick(world: &mut World, me: Me, who: &str, ban: bool) {
    let (chat, who) = (address("garden"), address(who));
    assert!(world.ask(me, Command::Kick { chat, who, ban }).reply.is_ok());
}

#[test]
fn who_may_not_know_a_chat_is_not_shown_it() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group(alice, "garden");
    assert!(invite(&mut world, alice, "bob").reply.is_ok());
    let outcome = world.give(alice, "garden", "bob", "X");
    let gone = Event::ChatGone { chat: "garden@im.test".into() };
    let heard = heard_by(&outcome, bob.account, None);
    assert!(heard.len() == 1 && **heard[0] == gone, "{heard:?}");
    // From one nothing to the other.
    let outcome = world.give(alice, "garden", "bob", "N");
    assert!(heard_by(&outcome, bob.account, None).is_empty(), "{outcome:?}");
    let outcome = world.want(bob, "garden", "R");
    assert!(outcome.reply.is_ok() && outcome.news.is_empty(), "{outcome:?}");
    // What he wanted he has now: he is shown the chat, and told so.
    let outcome = world.give(alice, "garden", "bob", "R");
    let heard = heard_by(&outcome, bob.account, None);
    let [joined, shown, notice] = &heard[..] else { panic!("{heard:?}") };
    assert!(matches!(&***joined, Event::Message(view) if view.kind == Kind::Joined), "{joined:?}");
    assert!(matches!(&***shown, Event::ChatChanged(_)), "{shown:?}");
    assert!(matches!(&***notice, Event::Message(view) if view.kind == Kind::Notice), "{notice:?}");
}

#[test]
fn an_invitation_names_the_chat_to_those_alone_who_may_know_it() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group(alice, "garden");
    assert!(invite(&mut world, alice, "bob").reply.is_ok());
    let named = |world: &World, me, chat| {
        let (seen, _) = world.history(me, chat, whole()).unwrap();
        let (address, name) = seen[0].extra.as_ref().unwrap().place.clone().unwrap();
        assert_eq!(&*address, "garden@im.test");
        name.to_string()
    };
    assert_eq!(named(&world, bob, "alice"), "garden");
    kick(&mut world, alice, "bob", false);
    let change = ChatChange { name: Some("A secret".into()), ..ChatChange::default() };
    assert!(
        world.ask(alice, Command::ChangeChat { chat: address("garden"), change }).reply.is_ok()
    );
    assert_eq!(named(&world, bob, "alice"), "");
    assert_eq!(named(&world, alice, "bob"), "A secret");
}

#[test]
fn nobody_comes_into_too_many_chats_by_their_letters() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.limits.chats_per_account = 1;
    world.group(alice, "garden");
    assert!(invite(&mut world, alice, "bob").reply.is_ok());
    world.group(bob, "his");
    assert_eq!(refused(&world.want(bob, "garden", "RWP")), Refusal::TooManyChats);
    // As an heir in waiting neither, and nothing is taken from the owner.
    world.give(alice, "garden", "bob", "RWPO");
    assert_eq!(refused(&world.want(bob, "garden", "O")), Refusal::TooManyChats);
    assert_eq!(world.members(alice, "garden")[0].given, Access::OWNER);
    // Nor when others give them letters that they once wanted.
    world.limits.chats_per_account = 2;
    assert!(world.want(bob, "garden", "RWP").reply.is_ok());
    world.give(alice, "garden", "bob", "N");
    world.limits.chats_per_account = 1;
    assert_eq!(refused(&world.give(alice, "garden", "bob", "R")), Refusal::TooManyChats);
}

#[test]
fn who_stays_out_is_not_invited_after_a_kick_either() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    assert!(world.want(bob, "garden", "X").reply.is_ok());
    for ban in [false, true, false] {
        kick(&mut world, alice, "bob", ban);
        assert_eq!(refused(&invite(&mut world, alice, "bob")), Refusal::NotAllowed);
    }
    assert!(world.want(bob, "garden", "R").reply.is_ok());
    assert!(invite(&mut world, alice, "bob").reply.is_ok());
    assert!(world.ask(bob, Command::Join { chat: address("garden") }).reply.is_ok());
}
