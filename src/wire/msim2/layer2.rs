//! Layer 2: contacts (mSIM 2.0, «Список контактов»).

use super::fields::{address, count, named, short_text};
use super::record;
use super::refusal::Fault;
use super::time;
use super::{Keep, Understood};
use crate::domain::id::Timestamp;
use crate::domain::words::{Command, ContactDraft, ContactState, ContactView, Query, Refusal};
use crate::limits::{
    ANSWER_BYTES_MAX, CONTACT_GROUP_BYTES_MAX, CONTACT_GROUPS_MAX, CONTACT_NAME_BYTES_MAX,
    CONTACT_NOTE_BYTES_MAX,
};
use crate::wire::json::{Object, ObjectWriter};
use crate::wire::{House, What};

/// What layer 2 lets a client ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Get,
    Add,
    Change,
    Delete,
}

impl Request {
    pub const ALL: [Request; 4] = [Request::Get, Request::Add, Request::Change, Request::Delete];

    pub fn parse(text: &str) -> Option<Request> {
        Request::ALL.into_iter().find(|request| request.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::Get => "CONTACTS-GET",
            Request::Add => "CONTACTS-ADD",
            Request::Change => "CONTACTS-CHANGE",
            Request::Delete => "CONTACTS-DELETE",
        }
    }
}

pub(super) fn understand(
    request: Request,
    body: &Object<'_>,
    layer: u32,
    house: &House,
) -> Understood {
    let what = match request {
        Request::Get => What::Query(page(body, layer, house)?),
        Request::Add => What::Command(Command::AddContact(draft(body, house)?)),
        Request::Change => What::Command(Command::ChangeContact(draft(body, house)?)),
        Request::Delete => {
            let who = named(body, "contact_id", house)?;
            let who = who.ok_or(Fault::new(Refusal::MissingField, "id"))?;
            What::Command(Command::RemoveContact { who })
        }
    };
    Ok((what, Keep::Nothing))
}

/// Without a count everything comes, as far as one answer goes (decision 8).
fn page(body: &Object<'_>, layer: u32, house: &House) -> Result<Query, Fault> {
    let most = u32::try_from(house.config.limits.contacts).unwrap_or(u32::MAX);
    let count = count(body, most)?.unwrap_or(most);
    let after = match body.text("id_gt")? {
        Some(text) => Some(address(text, "id_gt", house)?),
        None => None,
    };
    Ok(Query::Contacts { after, count, unlisted: knows_unlisted(layer) })
}

fn draft(body: &Object<'_>, house: &House) -> Result<ContactDraft, Fault> {
    let who = named(body, "contact_id", house)?.ok_or(Fault::new(Refusal::MissingField, "id"))?;
    let name = short_text(body, "name", CONTACT_NAME_BYTES_MAX)?;
    let note = short_text(body, "note", CONTACT_NOTE_BYTES_MAX)?;
    let dialog = body.flag("dialog")?;
    let group = match body.texts("group")? {
        Some(groups) => Some(checked_groups(&groups)?),
        None => None,
    };
    Ok(ContactDraft { who, name, group, note, dialog })
}

fn checked_groups(groups: &[&str]) -> Result<Vec<Box<str>>, Fault> {
    let is_long = |group: &&str| CONTACT_GROUP_BYTES_MAX < group.len();
    if CONTACT_GROUPS_MAX < groups.len() || groups.iter().any(is_long) {
        return Err(Fault::new(Refusal::FieldTooLong, "group"));
    }
    Ok(groups.iter().map(|group| Box::from(*group)).collect())
}

/// The answer to CONTACTS-GET. Who is in nobody's list is there from layer 4 on.
pub(super) fn contacts(contacts: &[ContactView], more: bool, layer: u32, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    let mut written = 0;
    for view in contacts {
        if ANSWER_BYTES_MAX < array.len() {
            break;
        }
        written += 1;
        if is_for(view, layer) {
            contact(view, layer, array.object());
        }
    }
    drop(array);
    object.flag("more", more || written < contacts.len());
}

/// A contact with what is known of its owner, as answers and pushes show it.
pub(super) fn contact(view: &ContactView, layer: u32, mut object: ObjectWriter<'_>) {
    let mut inner = object.object("contact");
    inner.text("id", &view.who).text("contact_id", &view.who).text("name", &view.name);
    inner.texts("group", view.group.iter().map(|group| &**group));
    if let Some(note) = &view.note {
        inner.text("note", note);
    }
    inner.flag("dialog", view.dialog);
    if layer >= 4 {
        more_fields(view, layer, &mut inner);
    }
    drop(inner);
    seen(view.online.filter(|_| layer >= 4), view.last_seen, &mut object);
}

pub(super) fn is_for(view: &ContactView, layer: u32) -> bool {
    knows_unlisted(layer) || !view.unlisted
}

/// Who is there for a state alone is for those who know of states.
fn knows_unlisted(layer: u32) -> bool {
    layer >= 4
}

pub(super) fn removed(who: &str, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("id", who).text("contact_id", who);
}

/// What a contact has from layer 4 on.
fn more_fields(view: &ContactView, layer: u32, object: &mut ObjectWriter<'_>) {
    object.text(
        "state",
        match view.state {
            ContactState::Plain => "plain",
            ContactState::Requested => "requested",
            ContactState::Pending => "pending",
            ContactState::Blocked => "blocked",
        },
    );
    if view.unlisted {
        object.flag("listed", false);
    }
    if let Some(last) = &view.last_message {
        let mut object = object.object("last_message");
        let direction = if last.from == view.who { "incoming" } else { "outgoing" };
        object.text("direction", direction);
        record::fields(last, layer, &mut object);
    }
}

/// Presence, where it is known and shared.
pub(super) fn seen(
    online: Option<bool>,
    last_seen: Option<Timestamp>,
    object: &mut ObjectWriter<'_>,
) {
    if let Some(at) = last_seen {
        object.text("last-seen", &time::zoned(at));
    }
    if let Some(online) = online {
        object.flag("online", online);
    }
}
