//! Contacts as the draft draws them: records of `...key=value` between brackets, groups as paths.

use std::borrow::Cow;

use super::Packet;
use super::notation::Writer;
use crate::domain::words::{Changed, ContactView, ProfileDraft};
use crate::limits::ANSWER_BYTES_MAX;
use crate::wire::msim2::time;

/// `Friends/Best friends` as the groups it names, outermost first; `//` is a `/` within a name.
pub(super) fn groups_of(path: &str) -> Vec<String> {
    if path.is_empty() {
        return Vec::new();
    }
    let mut groups = vec![String::new()];
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match groups.last_mut() {
            Some(group) if c != '/' || chars.next_if_eq(&'/').is_some() => group.push(c),
            _ => groups.push(String::new()),
        }
    }
    groups
}

fn path_of(groups: &[Box<str>]) -> String {
    let names: Vec<String> = groups.iter().map(|group| group.replace('/', "//")).collect();
    names.join("/")
}

type Record<'r> = Vec<(&'static str, Cow<'r, str>)>;

/// Everything that is known of a contact.
fn record(contact: &ContactView) -> Record<'_> {
    let mut record: Record<'_> =
        vec![("id", Cow::Borrowed(&*contact.who)), ("name", Cow::Borrowed(&*contact.name))];
    if !contact.group.is_empty() {
        record.push(("group", path_of(&contact.group).into()));
    }
    if let Some(note) = &contact.note {
        record.push(("note", Cow::Borrowed(&**note)));
    }
    if let Some(at) = contact.last_seen {
        record.push(("presence", time::zoned(at).into()));
    }
    record
}

/// What has changed of it; what is gone is empty.
fn changes(contact: &ContactView, changed: Changed) -> Record<'_> {
    let mut record: Record<'_> = vec![("id", Cow::Borrowed(&*contact.who))];
    if changed.name {
        record.push(("name", Cow::Borrowed(&*contact.name)));
    }
    if changed.group {
        record.push(("group", path_of(&contact.group).into()));
    }
    if changed.note {
        record.push(("note", Cow::Borrowed(contact.note.as_deref().unwrap_or_default())));
    }
    record
}

/// A contact that another device has made.
pub(super) fn created(contact: &ContactView) -> Packet {
    contact_updated(record(contact))
}

/// `None`: nothing of it is the draft's.
pub(super) fn updated(contact: &ContactView, changed: Changed) -> Option<Packet> {
    let record = changes(contact, changed);
    (1 < record.len()).then(|| contact_updated(record))
}

fn contact_updated(record: Record<'_>) -> Packet {
    Packet(Writer::new("CONTACT-UPDATED").records([record]).finish())
}

/// What somebody has changed of what they tell of themselves, as far as the draft has it.
pub(super) fn profile_changed(who: &str, changed: &ProfileDraft) -> Option<Packet> {
    let mut record: Record<'_> = vec![("id", Cow::Borrowed(who))];
    for (key, text) in [("name", &changed.name), ("note", &changed.note)] {
        if let Some(text) = text {
            record.push((key, Cow::Borrowed(&**text)));
        }
    }
    (1 < record.len()).then(|| contact_updated(record))
}

/// The answer to CONTACTS-GET. Like mSIM 2's it ends with the record that makes it too long.
pub(super) fn response(contacts: &[ContactView], more: bool) -> Packet {
    let contacts: Vec<&ContactView> = contacts.iter().filter(|c| !c.unlisted).collect();
    let mut bytes = 0;
    let fits = |contact: &&&ContactView| {
        let fits = bytes <= ANSWER_BYTES_MAX;
        bytes +=
            record(contact).iter().map(|(key, text)| key.len() + text.len() + 8).sum::<usize>();
        fits
    };
    let fitting = contacts.iter().take_while(fits).count();
    let mut writer = Writer::new("CONTACTS-GET-RESPONSE");
    if more || fitting < contacts.len() {
        writer = writer.word("more=true");
    }
    Packet(writer.records(contacts[..fitting].iter().map(|contact| record(contact))).finish())
}
