//! Layer 2: contacts (mSIM 2.0, «Список контактов»).

use super::layer4;
use super::refusal::Fault;
use super::time;
use super::{Keep, Understood};
use crate::domain::id::Address;
use crate::domain::words::{Command, ContactDraft, ContactView, Query, Refusal};
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

pub(super) fn understand(request: Request, body: &Object<'_>, house: &House) -> Understood {
    let what = match request {
        Request::Get => What::Query(page(body, house)?),
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
fn page(body: &Object<'_>, house: &House) -> Result<Query, Fault> {
    let most = u32::try_from(house.config.limits.contacts).unwrap_or(u32::MAX);
    let count = count(body, most)?.unwrap_or(most);
    let after = match body.text("id_gt")? {
        Some(text) => Some(address(text, "id_gt", house)?),
        None => None,
    };
    Ok(Query::Contacts { after, count })
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

pub(super) fn short_text(
    body: &Object<'_>,
    field: &'static str,
    bytes_max: usize,
) -> Result<Option<Box<str>>, Fault> {
    match body.text(field)? {
        Some(text) if bytes_max < text.len() => Err(Fault::new(Refusal::FieldTooLong, field)),
        text => Ok(text.map(Box::from)),
    }
}

/// The address in `id` or in its `other` spelling. Both may be there if they mean the same
/// (decision 41).
pub(super) fn named(
    body: &Object<'_>,
    other: &'static str,
    house: &House,
) -> Result<Option<Address>, Fault> {
    let read = |field| body.text(field)?.map(|text| address(text, field, house)).transpose();
    match (read("id")?, read(other)?) {
        (Some(one), Some(two)) if one != two => Err(Fault::bad(other)),
        (one, two) => Ok(two.or(one)),
    }
}

pub(super) fn address(text: &str, field: &'static str, house: &House) -> Result<Address, Fault> {
    Address::parse(text, &house.name).map_err(|_| Fault::bad(field))
}

/// How many records are wanted, from 1; more than `most` is `most`.
pub(super) fn count(body: &Object<'_>, most: u32) -> Result<Option<u32>, Fault> {
    match body.integer("count")? {
        None => Ok(None),
        Some(Ok(0) | Err(_)) => Err(Fault::new(Refusal::BadRange, "count")),
        Some(Ok(count)) => Ok(Some(u32::try_from(count).unwrap_or(most).min(most))),
    }
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
        layer4::contact_fields(view, layer, &mut inner);
    }
    drop(inner);
    if let Some(at) = view.last_seen {
        object.text("last-seen", &time::zoned(at));
    }
    if layer >= 4
        && let Some(online) = view.online
    {
        object.flag("online", online);
    }
}

pub(super) fn is_for(view: &ContactView, layer: u32) -> bool {
    layer >= 4 || !view.unlisted
}

pub(super) fn removed(who: &str, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("id", who).text("contact_id", who);
}
