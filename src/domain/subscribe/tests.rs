//! Conversations about taking up chats.

use super::*;
use crate::domain::id::Seq;
use crate::domain::testing::{Me, World, address, heard_by, refused};
use crate::domain::words::{
    Command, Kind, MessageView, Outcome, ProfileDraft, Query, SubscriberView, SubscriptionView,
};

mod bounds;
mod direct;
mod groups;

fn letters(text: &str) -> Access {
    Access::parse(text).unwrap()
}

fn ask_for(world: &mut World, me: Me, chat: &str, want: Option<&str>, note: &str) -> Outcome {
    let (chat, want, note) = (address(chat), want.map(letters), note.into());
    world.ask(me, Command::Subscribe { chat, want, note })
}

/// Takes a chat up as newcomers do.
fn take(world: &mut World, me: Me, chat: &str) -> (SubscriptionView, bool) {
    subscribed(&ask_for(world, me, chat, None, ""))
}

fn subscribed(outcome: &Outcome) -> (SubscriptionView, bool) {
    match &outcome.reply {
        Ok(Reply::Subscribed { subscription, is_new }) => ((**subscription).clone(), *is_new),
        other => panic!("{other:?}"),
    }
}

/// What somebody lets others do who begin a chat with them.
fn let_others(world: &mut World, me: Me, access: &str) {
    let access = Some(letters(access));
    let draft = ProfileDraft { access, ..ProfileDraft::default() };
    let outcome = world.ask(me, Command::UpdateProfile(Box::new(draft)));
    assert!(outcome.reply.is_ok() && outcome.news.is_empty(), "that is nobody's business");
}

fn leave(world: &mut World, me: Me, chat: &str) -> Outcome {
    let outcome = world.ask(me, Command::Leave { chat: address(chat) });
    assert!(outcome.reply.is_ok(), "{outcome:?}");
    outcome
}

fn subscriptions(world: &mut World, me: Me) -> Vec<SubscriptionView> {
    match world.ask(me, Command::Subscriptions { after: None, count: 64 }).reply {
        Ok(Reply::Subscriptions { subscriptions, more: false }) => subscriptions,
        other => panic!("{other:?}"),
    }
}

fn subscription(world: &mut World, me: Me, chat: &str) -> Result<SubscriptionView, Refusal> {
    match world.ask(me, Command::Subscription { chat: address(chat) }).reply? {
        Reply::Subscriptions { mut subscriptions, .. } => Ok(subscriptions.remove(0)),
        other => panic!("{other:?}"),
    }
}

fn subscribers(world: &mut World, me: Me, chat: &str) -> Result<Vec<SubscriberView>, Refusal> {
    let command = Command::Subscribers { chat: address(chat), after: None, count: 64 };
    match world.ask(me, command).reply? {
        Reply::Subscribers { subscribers, more: false } => Ok(subscribers),
        other => panic!("{other:?}"),
    }
}

/// Act, chat, wanted, given and text of each notice that lies with somebody.
fn notices(world: &World, me: Me) -> Vec<(Act, String, String, String, String)> {
    let query = Query::Notices { since: Seq(0), before: Seq(u32::MAX), count: 500 };
    match world.read(me, &query) {
        Ok(Reply::Messages { messages, .. }) => messages.iter().map(told).collect(),
        other => panic!("{other:?}"),
    }
}

fn told(view: &MessageView) -> (Act, String, String, String, String) {
    let extra = view.extra.as_ref().unwrap();
    let notice = extra.notice.unwrap();
    assert!(view.kind == Kind::Notice && extra.private);
    let chat = view.chat.split('@').next().unwrap();
    let (want, given) = (extra.access.unwrap_or_default(), notice.given);
    (notice.act, chat.into(), want.to_string(), given.to_string(), view.text.to_string())
}

/// What somebody hears: a word for each event.
fn heard(outcome: &Outcome, who: Me) -> Vec<&'static str> {
    let all = heard_by(outcome, who.account, None);
    let word = |event: &Event| match event {
        Event::Message(view) if view.kind == Kind::Notice => "notice",
        Event::Message(_) => "record",
        Event::ChatChanged(_) => "changed",
        Event::ChatGone { .. } => "gone",
        Event::Typing { .. } => "typing",
        Event::Marked { .. } => "marked",
        Event::ChatsChanged(_) => "chats",
        other => panic!("{other:?}"),
    };
    all.iter().map(|event| word(event)).collect()
}
