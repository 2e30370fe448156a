//! Layer 5: groups, channels and spaces.
//!
//! Our reading: `chat_id` is the chat and `id` a person; a space goes by the address of its general
//! chat.

use super::fields::{another, count, short_text};
use super::layer2::seen;
use super::record::chat_kind;
use super::refusal::Fault;
use super::{Keep, Understood};
use crate::domain::access::Access;
use crate::domain::id::{Address, Login};
use crate::domain::words::{
    ChatChange, ChatDraft, ChatInfo, ChatKind, Command, MemberView, Query, Refusal, SpaceView,
};
use crate::limits::{
    ANSWER_BYTES_MAX, CHAT_ABOUT_BYTES_MAX, CHAT_NAME_BYTES_MAX, MEMBERS_COUNT_MAX,
};
use crate::wire::json::{Object, ObjectWriter};
use crate::wire::{House, What};

/// What layer 5 lets a client ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    ChatCreate,
    ChatInfo,
    ChatMembers,
    ChatInvite,
    ChatJoin,
    ChatLeave,
    ChatKick,
    ChatAccess,
    ChatChange,
    ChatRemove,
    SpaceCreate,
    SpaceGet,
    SpaceRemove,
}

impl Request {
    pub const ALL: [Request; 13] = [
        Request::ChatCreate,
        Request::ChatInfo,
        Request::ChatMembers,
        Request::ChatInvite,
        Request::ChatJoin,
        Request::ChatLeave,
        Request::ChatKick,
        Request::ChatAccess,
        Request::ChatChange,
        Request::ChatRemove,
        Request::SpaceCreate,
        Request::SpaceGet,
        Request::SpaceRemove,
    ];

    pub fn parse(text: &str) -> Option<Request> {
        Request::ALL.into_iter().find(|request| request.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::ChatCreate => "CHAT-CREATE",
            Request::ChatInfo => "CHAT-INFO",
            Request::ChatMembers => "CHAT-MEMBERS",
            Request::ChatInvite => "CHAT-INVITE",
            Request::ChatJoin => "CHAT-JOIN",
            Request::ChatLeave => "CHAT-LEAVE",
            Request::ChatKick => "CHAT-KICK",
            Request::ChatAccess => "CHAT-ACCESS",
            Request::ChatChange => "CHAT-CHANGE",
            Request::ChatRemove => "CHAT-REMOVE",
            Request::SpaceCreate => "SPACE-CREATE",
            Request::SpaceGet => "SPACE-GET",
            Request::SpaceRemove => "SPACE-REMOVE",
        }
    }
}

pub(super) fn understand(request: Request, body: &Object<'_>, house: &House) -> Understood {
    let chat = || required(body, "chat_id", house);
    let person = || required(body, "id", house);
    let command = match request {
        Request::ChatCreate => Command::CreateChat(draft(body, false, house)?),
        Request::SpaceCreate => Command::CreateChat(draft(body, true, house)?),
        Request::ChatInfo => {
            return Ok((What::Query(Query::Chat { chat: chat()? }), Keep::Nothing));
        }
        Request::SpaceGet => {
            let space = another(body, "space", house)?;
            return Ok((What::Query(Query::Spaces { space }), Keep::Nothing));
        }
        Request::ChatMembers => Command::Members {
            chat: chat()?,
            after: another(body, "id_gt", house)?,
            count: count(body, MEMBERS_COUNT_MAX)?.unwrap_or(MEMBERS_COUNT_MAX),
        },
        Request::ChatInvite => Command::Invite {
            chat: chat()?,
            who: person()?,
            access: mode(body, "mode")?,
            note: "".into(),
        },
        Request::ChatJoin => Command::Join { chat: chat()? },
        Request::ChatLeave => Command::Leave { chat: chat()? },
        Request::ChatKick => Command::Kick {
            chat: chat()?,
            who: person()?,
            ban: body.flag("ban")?.unwrap_or_default(),
        },
        Request::ChatAccess => Command::SetAccess {
            chat: chat()?,
            who: another(body, "id", house)?,
            access: mode(body, "mode")?.ok_or(Fault::new(Refusal::MissingField, "mode"))?,
        },
        Request::ChatChange => Command::ChangeChat {
            chat: chat()?,
            change: ChatChange {
                name: short_text(body, "name", CHAT_NAME_BYTES_MAX)?,
                about: short_text(body, "about", CHAT_ABOUT_BYTES_MAX)?,
                open: body.flag("open")?,
                default_access: mode(body, "default_mode")?,
                card: None,
                retention: retention(body)?,
            },
        },
        Request::ChatRemove => Command::RemoveChat { chat: chat()?, is_space: false },
        Request::SpaceRemove => {
            Command::RemoveChat { chat: required(body, "space", house)?, is_space: true }
        }
    };
    Ok((What::Command(command), Keep::Nothing))
}

fn required(body: &Object<'_>, field: &'static str, house: &House) -> Result<Address, Fault> {
    another(body, field, house)?.ok_or(Fault::new(Refusal::MissingField, field))
}

fn draft(body: &Object<'_>, is_space: bool, house: &House) -> Result<ChatDraft, Fault> {
    let is_channel = match (is_space, body.text("kind")?) {
        (true, None) | (_, Some("group")) => false,
        (_, Some("channel")) => true,
        (false, None) => return Err(Fault::new(Refusal::MissingField, "kind")),
        (_, Some(_)) => return Err(Fault::bad("kind")),
    };
    let name = short_text(body, "name", CHAT_NAME_BYTES_MAX)?;
    Ok(ChatDraft {
        is_channel,
        is_space,
        name: name.ok_or(Fault::new(Refusal::MissingField, "name"))?,
        about: short_text(body, "about", CHAT_ABOUT_BYTES_MAX)?.unwrap_or_default(),
        login: wanted(body, house)?,
        space: another(body, "space", house)?,
        open: body.flag("open")?,
        default_access: mode(body, "default_mode")?,
        card: "".into(),
        retention: retention(body)?.unwrap_or_default(),
    })
}

/// Days.
fn retention(body: &Object<'_>) -> Result<Option<u32>, Fault> {
    match body.integer("retention")? {
        None => Ok(None),
        Some(Ok(days)) => u32::try_from(days).map(Some).map_err(|_| Fault::bad("retention")),
        Some(Err(_)) => Err(Fault::bad("retention")),
    }
}

/// The address that a new chat is to have: one of this server, with no chat within it.
fn wanted(body: &Object<'_>, house: &House) -> Result<Option<Login>, Fault> {
    match body.text("id")? {
        None => Ok(None),
        Some(text) => house.own_login(text).map(Some).ok_or(Fault::bad("id")),
    }
}

fn mode(body: &Object<'_>, field: &'static str) -> Result<Option<Access>, Fault> {
    match body.text(field)? {
        None => Ok(None),
        Some(text) => Access::parse(text).map(Some).ok_or(Fault::new(Refusal::BadAccess, field)),
    }
}

/// A chat's facts, as answers and pushes show them.
pub(super) fn facts(info: &ChatInfo, mut object: ObjectWriter<'_>) {
    object.text("chat_id", &info.chat).text("id", &info.chat);
    object.text("kind", chat_kind(info.kind)).text("name", &info.name);
    if !info.about.is_empty() {
        object.text("about", &info.about);
    }
    if let Some(space) = &info.space {
        object.text("space", space);
    }
    object.flag("open", info.open).text("default_mode", &info.default_access.to_string());
    if let Some((want, given)) = info.part {
        object.text("want", &want.to_string()).text("given", &given.to_string());
        object.text("mode", &want.and(given).to_string());
    }
    object.number("members", info.members.into());
    if let Some(owner) = &info.owner {
        object.text("owner", owner);
    }
    if info.kind != ChatKind::Direct {
        object.number("created", info.created.secs());
    }
    if info.retention > 0 {
        object.number("retention", info.retention.into());
    }
    seen(info.online, info.last_seen, &mut object);
}

/// The answer to CHAT-MEMBERS.
pub(super) fn members(members: &[MemberView], more: bool, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    for member in members {
        let mut object = array.object();
        object.text("id", &member.who);
        object.text("mode", &member.want.and(member.given).to_string());
        object.text("want", &member.want.to_string());
        object.text("given", &member.given.to_string());
        object.number("delivered_till_id", member.delivered.0);
        object.number("read_till_id", member.read.0);
    }
    drop(array);
    object.flag("more", more);
}

/// The answer to SPACE-GET. One that grows too long ends early: spaces are asked for by name, too.
pub(super) fn spaces(spaces: &[SpaceView], more: bool, body: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(body);
    let mut array = object.array("data");
    let mut written = 0;
    for space in spaces {
        if ANSWER_BYTES_MAX < array.len() {
            break;
        }
        written += 1;
        let Some(general) = space.chats.first() else { continue };
        let mut object = array.object();
        object.text("space", &general.chat).text("name", &general.name);
        object.flag("open", general.open);
        let mut chats = object.array("chats");
        for chat in &space.chats {
            facts(chat, chats.object());
        }
    }
    drop(array);
    object.flag("more", more || written < spaces.len());
}

pub(super) fn gone(chat: &str, body: &mut Vec<u8>) {
    ObjectWriter::new(body).text("chat_id", chat).text("id", chat);
}
