//! Profiles: what people tell of themselves, and who hears that it changed.

use std::sync::Arc;

use crate::domain::calendar;
use crate::domain::id::{AccountNo, Address, ChatId};
use crate::domain::nouns::{Access, AccountState, ContactState, Profile};
use crate::domain::presence::{self, Scene};
use crate::domain::session::Caller;
use crate::domain::subscription::EVERYBODY;
use crate::domain::words::{
    Audience, Event, Face, News, ProfileDraft, ProfileView, Refusal, Reply, Start,
};
use crate::domain::{Context, Fault, account, chat, contact};
use crate::limits::{
    CARD_BYTES_MAX, PROFILE_CONTACTS_MAX, PROFILE_GALLERY_MAX, PROFILE_LINK_BYTES_MAX,
    PROFILE_NAME_BYTES_MAX, PROFILE_NOTE_BYTES_MAX,
};
use crate::store::{Look, StoreError, Tx};

/// Absent fields stay, empty ones go. Those who have the person as a contact hear what changed, and
/// the person's other devices.
pub(in crate::domain) fn update(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    draft: ProfileDraft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check(&draft)?;
    let old = tx.profile(me.account)?.unwrap_or_default();
    let new = applied(&old, &draft);
    let changed = difference(&old, &new);
    let own = ChatId::own(me.account);
    let card = match draft.card {
        Some(card) if tx.card(EVERYBODY, own)?.as_deref().unwrap_or("") != &*card => Some(card),
        Some(_) | None => None,
    };
    if changed == ProfileDraft::default() && card.is_none() {
        return Ok(Reply::Done);
    }
    tx.put_profile(me.account, &Profile { changed: context.now, ..new })?;
    if let Some(card) = &card {
        tx.put_card(EVERYBODY, own, card)?;
    }
    let row = account::row(tx, me.account)?;
    if changed.name.is_some() || card.is_some() {
        let all = partners(tx, me.account)?;
        let event = Event::FaceChanged { who: row.called() };
        news.push(News::to_one(me.account, Some(me.key), event.clone()));
        news.push(News::new(Audience::Many { all, but: None }, None, event));
    }
    // What others may do is nobody's to know before they try.
    let changed = ProfileDraft { access: None, ..changed };
    if changed != ProfileDraft::default() {
        let all = keepers(tx, me.account, &row.address)?;
        let event = Event::ProfileChanged { who: row.called(), changed: Box::new(changed) };
        news.push(News::to_one(me.account, Some(me.key), event.clone()));
        news.push(News::new(Audience::Many { all, but: None }, None, event));
    }
    Ok(Reply::Done)
}

/// What an account begins with, if it may.
pub(in crate::domain) fn check_start(start: &Start) -> Result<(), Refusal> {
    check(&start.profile)?;
    check_card(&start.card)
}

pub(in crate::domain) fn begin(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    who: AccountNo,
    start: &Start,
) -> Result<(), StoreError> {
    let new = applied(&Profile::default(), &start.profile);
    if new != Profile::default() {
        tx.put_profile(who, &Profile { changed: context.now, ..new })?;
    }
    let own = ChatId::own(who);
    tx.put_card(EVERYBODY, own, start.profile.card.as_deref().unwrap_or(""))?;
    tx.put_card(who, own, &start.card)
}

/// What is kept as it came, and by whom: about a chat, about oneself without one.
pub(in crate::domain) fn keep(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: Option<&Address>,
    card: &str,
) -> Result<Reply, Fault> {
    check_card(card)?;
    let chat = match address {
        None => ChatId::own(me.account),
        Some(address) => match chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)? {
            chat::Found::Account(other) => ChatId::direct(me.account, other),
            chat::Found::Group(chat) => chat.id,
        },
    };
    if address.is_some() && tx.part(me.account, chat)?.is_none() {
        return Err(Refusal::NoSuchChat.into());
    }
    tx.put_card(me.account, chat, card)?;
    Ok(Reply::Done)
}

/// What somebody keeps, and what others see of them.
pub(in crate::domain) fn remove_cards(tx: &mut Tx<'_>, who: AccountNo) -> Result<(), StoreError> {
    let own = ChatId::own(who);
    tx.put_card(EVERYBODY, own, "")?;
    tx.put_card(who, own, "")?;
    for (chat, _) in tx.chats_of(who)? {
        tx.put_card(who, chat, "")?;
    }
    Ok(())
}

pub(in crate::domain) fn check_card(card: &str) -> Result<(), Refusal> {
    if card.len() <= CARD_BYTES_MAX { Ok(()) } else { Err(Refusal::FieldTooLong) }
}

/// What others see of somebody.
pub(in crate::domain) fn face(look: &impl Look, who: AccountNo) -> Result<Face, StoreError> {
    let name = look.profile(who)?.unwrap_or_default().name;
    Ok(Face { name, card: look.card(EVERYBODY, ChatId::own(who))? })
}

/// Those who have a direct chat with somebody and hear of them there.
pub(in crate::domain) fn partners(
    tx: &Tx<'_>,
    me: AccountNo,
) -> Result<Arc<[AccountNo]>, StoreError> {
    let mine = account::row(tx, me)?.address;
    let mut partners = Vec::new();
    for (chat, _) in tx.chats_of(me)? {
        let Some(other) = chat.other(me).filter(|other| *other != me) else { continue };
        let hears = tx.part(other, chat)?.is_some_and(|p| p.mode().has(Access::PRESENCE));
        if hears {
            let theirs = account::row(tx, other)?.address;
            let apart =
                contact::is_blocked(tx, me, &theirs)? || contact::is_blocked(tx, other, &mine)?;
            if !apart {
                partners.push(other);
            }
        }
    }
    Ok(partners.into())
}

/// Anybody's, as they tell it; mine where nobody is named.
pub(in crate::domain) fn look_up(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    who: Option<&Address>,
) -> Result<Reply, Fault> {
    let no = match who {
        Some(who) => account::here(look, scene.home, who)?,
        None => me,
    };
    let row = account::row(look, no)?;
    let profile = look.profile(no)?.unwrap_or_default();
    let seen = presence::of(look, scene, me, no)?;
    Ok(Reply::Profile(Box::new(ProfileView {
        who: row.called(),
        fields: ProfileDraft { access: None, ..difference(&Profile::default(), &profile) },
        created: row.created,
        changed: profile.changed,
        online: seen.map(|seen| seen.online),
        last_seen: seen.and_then(|seen| seen.at),
    })))
}

/// Who has somebody in their contacts, but for those whom a block lies between. Every account is
/// asked: profiles change seldom, which the engine sees to (`PROFILE_UPDATE_WEIGHT`), and an index of
/// who keeps whom would cost every new contact.
fn keepers(tx: &Tx<'_>, me: AccountNo, address: &Address) -> Result<Arc<[AccountNo]>, StoreError> {
    let mut keepers = Vec::new();
    for keeper in tx.accounts()? {
        if keeper.no == me || keeper.state != AccountState::Active {
            continue;
        }
        let keeps = tx.contact(keeper.no, address)?.is_some_and(|contact| {
            matches!(contact.state, ContactState::Plain | ContactState::Requested)
        });
        if keeps && !contact::is_blocked(tx, me, &keeper.address)? {
            keepers.push(keeper.no);
        }
    }
    Ok(keepers.into())
}

fn applied(old: &Profile, draft: &ProfileDraft) -> Profile {
    let text = |old: &str, new: &Option<Box<str>>| Box::from(new.as_deref().unwrap_or(old));
    let list = |old: &Vec<Box<str>>, new: &Option<Vec<Box<str>>>| {
        new.clone().unwrap_or_else(|| old.clone())
    };
    Profile {
        name: text(&old.name, &draft.name),
        short_name: text(&old.short_name, &draft.short_name),
        full_name: text(&old.full_name, &draft.full_name),
        note: text(&old.note, &draft.note),
        photo: text(&old.photo, &draft.photo),
        gallery: list(&old.gallery, &draft.gallery),
        contacts: list(&old.contacts, &draft.contacts),
        birthday: text(&old.birthday, &draft.birthday),
        changed: old.changed,
        access: draft.access.or(old.access),
    }
}

/// The fields in which `new` is another one than `old`.
fn difference(old: &Profile, new: &Profile) -> ProfileDraft {
    let text = |old: &str, new: &str| (old != new).then(|| Box::from(new));
    let list = |old: &Vec<Box<str>>, new: &Vec<Box<str>>| (old != new).then(|| new.clone());
    ProfileDraft {
        name: text(&old.name, &new.name),
        short_name: text(&old.short_name, &new.short_name),
        full_name: text(&old.full_name, &new.full_name),
        note: text(&old.note, &new.note),
        photo: text(&old.photo, &new.photo),
        gallery: list(&old.gallery, &new.gallery),
        contacts: list(&old.contacts, &new.contacts),
        birthday: text(&old.birthday, &new.birthday),
        access: new.access.filter(|_| old.access != new.access),
        card: None,
    }
}

fn check(draft: &ProfileDraft) -> Result<(), Refusal> {
    let within = |text: &Option<Box<str>>, most: usize| {
        text.as_deref().is_none_or(|text| text.len() <= most)
    };
    let few = |list: &Option<Vec<Box<str>>>, count: usize, most: usize| {
        list.as_deref()
            .is_none_or(|list| list.len() <= count && list.iter().all(|text| text.len() <= most))
    };
    if draft.access.is_some_and(|access| access.has_any(Access::SHARE.with(Access::OWN))) {
        return Err(Refusal::BadAccess);
    }
    let fits = within(&draft.card, CARD_BYTES_MAX)
        && within(&draft.name, PROFILE_NAME_BYTES_MAX)
        && within(&draft.short_name, PROFILE_NAME_BYTES_MAX)
        && within(&draft.full_name, PROFILE_NAME_BYTES_MAX)
        && within(&draft.note, PROFILE_NOTE_BYTES_MAX)
        && within(&draft.photo, PROFILE_LINK_BYTES_MAX)
        && few(&draft.gallery, PROFILE_GALLERY_MAX, PROFILE_LINK_BYTES_MAX)
        && few(&draft.contacts, PROFILE_CONTACTS_MAX, PROFILE_NAME_BYTES_MAX);
    if !fits {
        return Err(Refusal::FieldTooLong);
    }
    let pictures = draft.gallery.iter().flatten().map(|picture| &**picture);
    let photo = draft.photo.as_deref().filter(|photo| !photo.is_empty());
    if !pictures.chain(photo).all(is_picture) {
        return Err(Refusal::BadField);
    }
    if draft.contacts.iter().flatten().any(|contact| contact.is_empty()) {
        return Err(Refusal::BadField);
    }
    match draft.birthday.as_deref() {
        None | Some("") => Ok(()),
        Some(day) if calendar::day(day).is_some() => Ok(()),
        Some(_) => Err(Refusal::BadDate),
    }
}

/// A link to a page, or `file:` and the id of a file of this server.
fn is_picture(text: &str) -> bool {
    let rest = ["https://", "http://", "file:"].iter().find_map(|start| text.strip_prefix(start));
    let is_word = |rest: &str| !rest.is_empty() && !rest.contains(char::is_whitespace);
    rest.is_some_and(is_word)
}

#[cfg(test)]
mod tests;
