//! What the core tells, as lines.

use super::files;
use super::numbers::{Place, Target, person};
use super::text::{escaped, pseudo, push_text, tamed};
use super::{Line, Me, TODO_MAX, TOLD_MAX, Todo, words};
use crate::config::Directory;
use crate::domain::id::Address;
use crate::domain::name::Name;
use crate::domain::words::{ContactState, ContactView, Event, Kind, MessageView, Move};
use crate::wire::said::in_words;
use crate::wire::{House, Told};

pub(super) fn tell(told: &Told<'_>, me: &mut Me, house: &House, out: &mut Vec<Line>) {
    let event = match told {
        Told::Event(event) => &***event,
        Told::Resync { .. } => {
            out.push(words::fault("more came than could wait for you, GET what you missed"));
            return;
        }
    };
    let gone = me.gone.take();
    match event {
        Event::Message(message) => record(message, me, house, out),
        Event::ChatGone { chat } => match Place::of(chat) {
            // It was said that I left.
            Some(_) if gone == Some(chat.tag()) => {}
            Some(place) => out.push(Line(format!("DEL {place}"))),
            None => {}
        },
        Event::ContactRequested { who, .. } => {
            out.extend(person(who).map(|no| Line(format!("INV 0 {}", no.0))));
        }
        Event::ContactAnswered { who, accepted: true } => {
            let line = |no: u32| Line(format!("JOIN 0 {} 0 {no}", me.no.0));
            out.extend(person(who).map(|no| line(no.0)));
        }
        // Somebody who has another name is one contact that goes and another that comes.
        Event::ContactRemoved { who } => me.gone = Some(who.tag()),
        Event::ContactCreated(contact) if gone == Some(contact.who.tag()) => {}
        Event::ContactCreated(contact) => out.extend(friend(contact, me)),
        Event::ContactUpdated { contact, changed } if changed.state => {
            out.extend(friend(contact, me));
        }
        Event::Moved { who, by } => out.extend(moved(who, *by)),
        Event::Presence { who, online, .. } if me.directory == Directory::Contacts => {
            out.extend(moved(who, if *online { Move::Came } else { Move::Went }));
        }
        Event::Renamed { who, .. } => {
            let line = |no: u32| Line(format!("RENAME {} 0 {no}", pseudo(who)));
            out.extend(person(who).map(|no| line(no.0)));
        }
        Event::Relayed { table, text } if me.tables.contains(table) => {
            out.push(Line(format!("JEU {} {}", tamed(table), tamed(text))));
        }
        Event::ContactUpdated { .. }
        | Event::ContactAnswered { accepted: false, .. }
        | Event::ContactBlocked { .. }
        | Event::Presence { .. }
        | Event::Relayed { .. }
        | Event::ChatsChanged(_)
        | Event::ChatChanged(_)
        | Event::Marked { .. }
        | Event::MyMarks { .. }
        | Event::Watching { .. }
        | Event::Awake { .. }
        | Event::FaceChanged { .. }
        | Event::AgentChanged { .. }
        | Event::Typing { .. }
        | Event::ProfileChanged { .. } => {}
    }
}

/// A record of a chat. What another session of mine did is told like what others did.
fn record(message: &MessageView, me: &mut Me, house: &House, out: &mut Vec<Line>) {
    // My own chain is in nobody's words here: what it tells of is told in other ways.
    if message.is_private() {
        return;
    }
    let (Some(target), Some(from)) = (Target::of(&message.chat), person(&message.from)) else {
        return;
    };
    note(message, me);
    let about = message.extra.as_ref().and_then(|extra| extra.person.as_ref()).and_then(person);
    let whom = about.unwrap_or(from);
    match (message.kind, target) {
        (Kind::File, _) if is_stored(message) => {
            if from != me.no {
                files::told(target, message, me);
            }
        }
        (
            Kind::Text | Kind::Formatted | Kind::Blob | Kind::File | Kind::Edited | Kind::Deleted,
            _,
        ) => say(message, target, from.0, out),
        (Kind::Joined, Target::Place(place)) => {
            out.push(Line(format!("JOIN {place} 0 {}", whom.0)));
            if whom == me.no {
                look_up(|chat| Todo::Show { chat }, &message.chat, me, house);
            }
        }
        (Kind::Created, Target::Place(_)) => {
            look_up(|chat| Todo::Show { chat }, &message.chat, me, house);
        }
        (Kind::Left, Target::Place(place)) => {
            out.push(Line(format!("BYE 0 {} {place}", whom.0)));
            if whom == me.no {
                me.gone = Some(message.chat.tag());
            }
        }
        (Kind::Renamed, Target::Place(place)) => {
            out.push(Line(format!("RENAME {} {}", escaped(&message.text), short(place))));
        }
        (Kind::Invited, _) if from != me.no => {
            let to = message.extra.as_ref().and_then(|extra| extra.place.as_ref());
            if let Some((chat, _)) = to {
                look_up(|chat| Todo::Invite { by: from, chat }, chat, me, house);
            }
        }
        // Told in other ways, or of interest to nobody here.
        (
            Kind::Joined
            | Kind::Created
            | Kind::Left
            | Kind::Renamed
            | Kind::Invited
            | Kind::Access
            | Kind::Cleared
            | Kind::Notice,
            _,
        ) => {}
    }
}

fn is_stored(message: &MessageView) -> bool {
    message.extra.as_ref().is_some_and(|extra| extra.file.is_some())
}

/// A server's own name is changed by its one number.
pub(super) fn short(place: Place) -> String {
    match place.channel {
        0 => place.server.to_string(),
        _ => place.to_string(),
    }
}

fn say(message: &MessageView, target: Target, from: u32, out: &mut Vec<Line>) {
    let text = in_words(message);
    let head = match target {
        Target::Place(place) => format!("MSG 0 {from} {place} "),
        // Or it would be a channel's.
        Target::Person(_) if begins_with_two_numbers(&text) => format!("MSG 0 {from}  "),
        Target::Person(_) => format!("MSG 0 {from} "),
    };
    push_text(&head, &text, out);
}

fn begins_with_two_numbers(text: &str) -> bool {
    let mut words = text.lines().flat_map(|line| line.split(' '));
    let mut is_number =
        || words.next().is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()));
    is_number() && is_number()
}

/// Remembers what is on its way to the client until a TOC says that it has arrived.
fn note(message: &MessageView, me: &mut Me) {
    if person(&message.from) == Some(me.no) {
        return;
    }
    let tag = message.chat.tag();
    if let Some((_, id)) = me.told.iter_mut().find(|(chat, _)| *chat == tag) {
        *id = (*id).max(message.id);
    } else if me.told.len() < TOLD_MAX {
        me.told.push((tag, message.id));
    }
}

fn look_up(todo: impl FnOnce(Address) -> Todo, chat: &Name, me: &mut Me, house: &House) {
    if me.todo.len() < TODO_MAX
        && let Ok(address) = Address::parse(chat, &house.name)
    {
        me.todo.push_back(todo(address));
    }
}

fn friend(contact: &ContactView, me: &Me) -> Option<Line> {
    let no = person(&contact.who).filter(|_| contact.state == ContactState::Plain)?;
    Some(Line(format!("JOIN 0 {} 0 {}", no.0, me.no.0)))
}

fn moved(who: &Name, by: Move) -> Option<Line> {
    let no = person(who)?.0;
    Some(match by {
        Move::Appeared => Line(format!("ADD OFF 0 {no} {}", pseudo(who))),
        Move::Came => Line(format!("ADD ON 0 {no} {}", pseudo(who))),
        Move::Went => Line(format!("BYE 0 {no}")),
    })
}
