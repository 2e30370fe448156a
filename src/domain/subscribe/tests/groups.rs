//! Of many.

use super::*;
use crate::domain::testing::group_draft;
use crate::domain::words::{ChatChange, ChatDraft};

fn owners(world: &mut World, me: Me, chat: &str) -> Vec<String> {
    let members = world.members(me, chat).into_iter();
    let owners = members.filter(|member| member.want.and(member.given).has(Access::OWN));
    owners.map(|member| member.who.to_string()).collect()
}

#[test]
fn what_is_open_is_joined() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice]);
    world.sent(alice, "garden", "one");
    let outcome = ask_for(&mut world, bob, "garden", None, "");
    let (view, is_new) = subscribed(&outcome);
    assert!(is_new && view.part == Some((letters("RWP"), letters("RWP"))));
    assert_eq!((view.last, view.read), (Seq(1), Seq(1)), "nothing is unread to a newcomer");
    assert_eq!(heard(&outcome, alice), ["record"]);
    assert!(notices(&world, alice).is_empty());
    // Less than one could have is not asked for.
    let (view, is_new) = subscribed(&ask_for(&mut world, bob, "garden", Some("RP"), ""));
    assert!(!is_new && view.part == Some((letters("RP"), letters("RWP"))));
    assert_eq!(refused(&world.send(bob, "garden", "x")), Refusal::NotAllowed);
    // More is.
    let outcome = ask_for(&mut world, bob, "garden", Some("RWPD"), "I would tidy up");
    assert_eq!(heard(&outcome, alice), ["record", "notice"]);
    let text = "I would tidy up".to_string();
    let asked = (Act::Asked, "garden".into(), "RWPD".into(), "RWP".into(), text);
    assert_eq!(notices(&world, alice), [asked]);
    world.give(alice, "garden", "bob", "RWPD");
    let admitted = (Act::Admitted, "garden".into(), "RWPD".into(), "RWPD".into(), "".into());
    assert_eq!(notices(&world, bob), [admitted]);
}

#[test]
fn what_is_closed_is_asked_for_once_and_its_managers_decide() {
    let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
    world.group_of("garden", &[alice, bob, carol]);
    world.give(alice, "garden", "bob", "RWPS");
    world.want(bob, "garden", "RWPS");
    let change = ChatChange { open: Some(false), ..ChatChange::default() };
    world.ask(alice, Command::ChangeChat { chat: address("garden"), change });

    let outcome = ask_for(&mut world, dave, "garden", None, "it is dave");
    let (view, is_new) = subscribed(&outcome);
    assert!(is_new && view.part == Some((letters("RWP"), Access::NONE)));
    for (manager, news) in [(alice, &["notice"][..]), (bob, &["notice"]), (carol, &[])] {
        assert_eq!(heard(&outcome, manager), news);
    }
    let text = "it is dave".to_string();
    let asked = [(Act::Asked, "garden".into(), "RWP".into(), "N".into(), text)];
    assert_eq!(notices(&world, alice), asked);
    // The same again, something else, and another way there: all wait for one decision.
    for want in [None, Some("RW"), Some("RWPD"), Some("R")] {
        assert!(!subscribed(&ask_for(&mut world, dave, "garden", want, "still me")).1);
    }
    world.want(dave, "garden", "N");
    assert!(subscribed(&ask_for(&mut world, dave, "garden", None, "")).1);
    leave(&mut world, dave, "garden");
    assert!(subscribed(&ask_for(&mut world, dave, "garden", None, "")).1);
    assert_eq!(notices(&world, alice), asked);
    assert_eq!(refused(&world.send(dave, "garden", "x")), Refusal::NoSuchChat);

    let outcome = world.give(bob, "garden", "dave", "RWP");
    assert_eq!(heard(&outcome, dave), ["record", "changed", "notice"]);
    let admitted = (Act::Admitted, "garden".into(), "RWP".into(), "RWP".into(), "".into());
    assert_eq!(notices(&world, dave), [admitted]);
    world.sent(dave, "garden", "thanks");
    // It is decided: another wish is another question.
    ask_for(&mut world, dave, "garden", Some("RWPD"), "");
    assert_eq!(notices(&world, alice).len(), 2);
}

#[test]
fn who_only_asks_sees_nothing_but_that_it_is_there() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    let card = "{\"plan\":1}".into();
    world.make(alice, ChatDraft { card, ..group_draft("garden") });
    world.sent(alice, "garden", "hush");
    let hidden = subscription(&mut world, bob, "garden");
    assert_eq!(hidden.unwrap_err(), Refusal::NoSuchChat);
    let (view, _) = take(&mut world, bob, "garden");
    assert!(view.face.name.is_empty() && view.face.card.is_none(), "{view:?}");
    assert_eq!((view.last, view.read), (Seq(0), Seq(0)));
    let page =
        Query::Page { chat: address("garden"), since: Seq(0), before: Seq(u32::MAX), count: 9 };
    assert_eq!(world.read(bob, &page).unwrap_err(), Refusal::NoSuchChat);
    assert_eq!(subscribers(&mut world, bob, "garden").unwrap_err(), Refusal::NoSuchChat);
    let watch = Command::Watch { chat: address("garden"), on: true };
    assert_eq!(refused(&world.ask(bob, watch)), Refusal::NoSuchChat);
    // Who is invited may know what it is, and not who is in it.
    let (chat, who) = (address("garden"), address("carol"));
    world.ask(alice, Command::Invite { chat, who, access: None, note: "come".into() });
    let view = subscription(&mut world, carol, "garden").unwrap();
    assert_eq!((&*view.face.name, view.face.card.as_deref()), ("garden", Some("{\"plan\":1}")));
    assert_eq!(subscribers(&mut world, carol, "garden").unwrap_err(), Refusal::NoSuchChat);
    let invited = (Act::Invited, "garden".into(), "N".into(), "RWP".into(), "come".into());
    assert_eq!(notices(&world, carol), [invited]);
    let (view, is_new) = take(&mut world, carol, "garden");
    assert!(is_new && view.last == Seq(1));
    assert_eq!(subscribers(&mut world, carol, "garden").unwrap().len(), 2);
    assert_eq!(subscribers(&mut world, alice, "garden").unwrap().len(), 3, "bob, who asks");
}

#[test]
fn who_is_banned_stays_out_and_who_banned_themselves_comes_back_by_saying_so() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.group_of("garden", &[alice, bob, carol]);
    let (chat, who) = (address("garden"), address("bob"));
    world.ask(alice, Command::Kick { chat, who, ban: true });
    for want in [None, Some("RWP"), Some("X")] {
        let outcome = ask_for(&mut world, bob, "garden", want, "");
        assert_eq!(refused(&outcome), Refusal::NotAllowed);
    }
    assert!(subscriptions(&mut world, bob).is_empty() && notices(&world, alice).is_empty());
    world.want(carol, "garden", "X");
    assert_eq!(refused(&ask_for(&mut world, carol, "garden", None, "")), Refusal::NotAllowed);
    for want in ["X", "N"] {
        let outcome = ask_for(&mut world, carol, "garden", Some(want), "");
        assert_eq!(refused(&outcome), Refusal::BadAccess, "that is no way in");
    }
    let (view, is_new) = subscribed(&ask_for(&mut world, carol, "garden", Some("RWP"), ""));
    assert!(is_new && view.part == Some((letters("RWP"), letters("RWP"))));
    world.sent(carol, "garden", "here I am");
}

#[test]
fn who_was_left_with_nothing_asks_also_where_it_is_open() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group_of("garden", &[alice, bob]);
    world.give(alice, "garden", "bob", "N");
    assert_eq!(
        refused(&world.ask(bob, Command::Join { chat: address("garden") })),
        Refusal::NotAllowed
    );
    leave(&mut world, bob, "garden");
    let (view, _) = take(&mut world, bob, "garden");
    assert_eq!(view.part, Some((letters("RWP"), Access::NONE)));
    assert_eq!(notices(&world, alice).len(), 1);
}

#[test]
fn nobody_becomes_an_owner_beside_the_owner() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    world.group_of("garden", &[alice]);
    for want in ["O", "RWPO"] {
        let outcome = ask_for(&mut world, bob, "garden", Some(want), "");
        assert_eq!(refused(&outcome), Refusal::BadAccess);
    }
    // One who is offered it with the invitation takes it over by wanting it.
    let (chat, who, access) = (address("garden"), address("carol"), Some(letters("RWPO")));
    world.ask(alice, Command::Invite { chat, who, access, note: "".into() });
    let outcome = ask_for(&mut world, carol, "garden", Some("RWPO"), "");
    assert!(subscribed(&outcome).1);
    assert_eq!(owners(&mut world, carol, "garden"), ["carol@im.test"]);
    assert_eq!(world.members(carol, "garden")[0].given, letters("RWPSD"));
}

#[test]
fn limits_hold_on_this_way_in_too() {
    let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
    (world.limits.members, world.limits.chats_per_account) = (2, 1);
    world.group_of("garden", &[alice, bob]);
    let outcome = ask_for(&mut world, carol, "garden", None, "");
    assert_eq!(refused(&outcome), Refusal::TooManyMembers);
    world.group(carol, "field");
    assert_eq!(refused(&ask_for(&mut world, bob, "field", None, "")), Refusal::TooManyChats);
    // Direct chats are no groups.
    assert!(take(&mut world, bob, "carol").1);
}

#[test]
fn nobody_joins_with_nothing_but_an_offer_to_own() {
    let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
    world.group(alice, "garden");
    let (chat, who, access) = (address("garden"), address("bob"), Some(letters("O")));
    world.ask(alice, Command::Invite { chat, who, access, note: "".into() });
    let join = world.ask(bob, Command::Join { chat: address("garden") });
    assert_eq!(refused(&join), Refusal::NotAllowed);
    // He may ask for what others have, or take it over.
    let (view, _) = take(&mut world, bob, "garden");
    assert_eq!(view.part, Some((letters("RWP"), letters("O"))));
    assert_eq!(notices(&world, alice).len(), 1);
    assert!(world.want(bob, "garden", "RWPO").reply.is_ok());
    assert_eq!(owners(&mut world, bob, "garden"), ["bob@im.test"]);
}
