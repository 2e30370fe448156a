//! What an update weighs on its way into mailboxes.

use std::sync::Arc;

use crate::domain::words::{Bulletin, Event, MessageView, ProfileDraft};

/// An update on its way into mailboxes: what it weighs is the same for all of them.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    pub(super) order: u64,
    pub(super) event: &'a Arc<Bulletin>,
    pub(super) weight: usize,
}

impl<'a> Letter<'a> {
    pub(crate) fn new(order: u64, event: &'a Arc<Bulletin>) -> Letter<'a> {
        Letter { order, event, weight: weight(event) }
    }
}

/// About what an update costs in memory while it waits; an `Arc` shared by several sessions counts
/// for each of them, which errs on the safe side.
pub(super) fn weight(event: &Event) -> usize {
    const FIXED: usize = 128;
    FIXED
        + match event {
            Event::Message(m) => message_weight(m),
            Event::ContactCreated(c) | Event::ContactUpdated { contact: c, .. } => {
                c.who.len()
                    + c.name.len()
                    + c.note.as_ref().map_or(0, |n| n.len())
                    + c.group.iter().map(|g| g.len()).sum::<usize>()
            }
            Event::ContactRemoved { who } => who.len(),
            Event::ChatsChanged(chats) => chats.len() * 96,
            Event::Marked { chat, user, .. } => chat.len() + user.len(),
            Event::MyMarks { chat, .. } | Event::Awake { chat, .. } => chat.len(),
            Event::Watching { chat, who, .. } => chat.len() + who.len(),
            Event::FaceChanged { who } => who.len(),
            Event::AgentChanged { who, agent } => who.len() + agent.len(),
            Event::Typing { chat, from, .. } => chat.len() + from.len(),
            Event::Presence { who, agent, .. } => who.len() + agent.len(),
            Event::ContactAnswered { who, .. } | Event::ContactBlocked { who, .. } => who.len(),
            Event::ProfileChanged { who, changed } => who.len() + profile_weight(changed),
            Event::ContactRequested { who, note } => who.len() + note.len(),
            Event::ChatChanged(info) => {
                size_of_val(&**info) + info.chat.len() + info.name.len() + info.about.len()
            }
            Event::ChatGone { chat } => chat.len(),
            Event::Moved { who, .. } => who.len(),
            Event::Renamed { who, old } => who.len() + old.len(),
            Event::Relayed { table, text } => table.len() + text.len(),
        }
}

fn message_weight(message: &MessageView) -> usize {
    let extra = message.extra.as_deref().map_or(0, |extra| {
        let values = extra.spans.iter().map(|s| s.value.as_ref().map_or(0, |value| value.len()));
        size_of_val(extra) + size_of_val(&*extra.spans) + values.sum::<usize>()
    });
    // Told to many it also holds its spelling, which is its text once more.
    2 * message.text.len() + message.chat.len() + message.from.len() + extra
}

fn profile_weight(changed: &ProfileDraft) -> usize {
    let texts = [
        &changed.name,
        &changed.short_name,
        &changed.full_name,
        &changed.note,
        &changed.photo,
        &changed.birthday,
    ];
    let lists = [&changed.gallery, &changed.contacts];
    let listed = lists.into_iter().flatten().flatten().map(|text| text.len());
    let single = texts.into_iter().flatten().map(|text| text.len());
    size_of_val(changed) + single.chain(listed).sum::<usize>()
}
