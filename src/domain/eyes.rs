//! Records as one reader sees them: in their words, with what is gone for them gone.

use std::collections::HashMap;

use crate::domain::group::{self, Group};
use crate::domain::id::{AccountNo, ChatId, MessageId};
use crate::domain::name::Name;
use crate::domain::nouns::{Extra, Message};
use crate::domain::words::{ExtraView, Kind, MessageView};
use crate::domain::{account, chat};
use crate::store::{Look, StoreError};

/// A chat that a record names: its address, and what it is called.
type Place = (Name, Box<str>);

/// One reader, with the names that were looked up for them.
#[derive(Debug)]
pub(in crate::domain) struct Eyes<'l, L> {
    look: &'l L,
    me: AccountNo,
    names: HashMap<AccountNo, Name>,
}

/// A chat as a reader names it, and from where on there is anything in it for them.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Window {
    pub(in crate::domain) name: Name,
    /// What lies at or before it is gone.
    pub(in crate::domain) horizon: MessageId,
}

impl<'l, L: Look> Eyes<'l, L> {
    pub(in crate::domain) fn new(look: &'l L, me: AccountNo) -> Eyes<'l, L> {
        Eyes { look, me, names: HashMap::new() }
    }

    pub(in crate::domain) fn name(&mut self, no: AccountNo) -> Result<Name, StoreError> {
        if let Some(name) = self.names.get(&no) {
            return Ok(name.clone());
        }
        let name = chat::name(self.look, no)?;
        self.names.insert(no, name.clone());
        Ok(name)
    }

    /// A record of the window's chat. `hidden`: it is gone for this reader alone; it keeps its
    /// place in the chain all the same.
    pub(in crate::domain) fn see(
        &mut self,
        message: &Message,
        window: &Window,
        hidden: bool,
    ) -> Result<MessageView, StoreError> {
        let from = self.name(message.from)?;
        let mut view = MessageView {
            chat: window.name.clone(),
            from,
            id: message.id,
            // A chain begins where it begins for its reader.
            previous: Some(message.previous).filter(|p| *p > window.horizon).unwrap_or_default(),
            seq: message.seq,
            time: message.time,
            kind: message.kind,
            text: message.text.clone(),
            cookie: message.cookie.clone().filter(|_| message.from == self.me),
            extra: None,
        };
        let extra = match &message.extra {
            Some(extra) => Some(self.see_extra(extra)?),
            None => None,
        };
        if hidden {
            view.text = "".into();
            view.extra = Some(Box::new(ExtraView { deleted: true, ..ExtraView::default() }));
            return Ok(view);
        }
        view.extra = extra.map(Box::new);
        match message.kind {
            Kind::Edited => self.resolve(message, window, &mut view)?,
            Kind::Deleted | Kind::Cleared | Kind::Notice => self.own_record(message, &mut view)?,
            Kind::Text
            | Kind::Formatted
            | Kind::Blob
            | Kind::File
            | Kind::Joined
            | Kind::Left
            | Kind::Invited
            | Kind::Renamed
            | Kind::Access
            | Kind::Created => {}
        }
        Ok(view)
    }

    fn see_extra(&mut self, extra: &Extra) -> Result<ExtraView, StoreError> {
        let place = match extra.place.filter(|place| place.is_group()) {
            Some(place) => self.see_place(place)?,
            None => None,
        };
        Ok(ExtraView {
            reply_to: extra.reply_to,
            target: extra.target,
            person: extra.person.map(|no| self.name(no)).transpose()?,
            place,
            access: extra.access,
            spans: extra.spans.clone(),
            mime: extra.mime.clone(),
            edited: extra.edited,
            deleted: extra.deleted,
            reach: extra.reach,
            notice: extra.notice,
            file: extra.file.clone(),
            private: false,
        })
    }

    /// The name is the one that the chat has now, and so for those alone who may know of it now.
    fn see_place(&self, place: ChatId) -> Result<Option<Place>, StoreError> {
        let Some(chat) = self.look.chat(place)? else { return Ok(None) };
        let group = Group { part: self.look.part(self.me, place)?, chat };
        let name = match group::may_know(&group) {
            true => group.chat.name.clone(),
            false => "".into(),
        };
        Ok(Some((group.chat.called(), name)))
    }

    /// An edit shows the text as it is now: it keeps none of its own, so that a deletion leaves no
    /// copy behind.
    fn resolve(
        &mut self,
        message: &Message,
        window: &Window,
        view: &mut MessageView,
    ) -> Result<(), StoreError> {
        let Some(extra) = &mut view.extra else { return Ok(()) };
        let target = extra.target;
        let found = match target > window.horizon {
            true => self.look.message(message.chat, target)?,
            false => None,
        };
        match found {
            Some(found) if !is_hidden(self.look, self.me, message.chat, target)? => {
                view.text = found.text;
                if let Some(now) = found.extra {
                    extra.spans = now.spans;
                    extra.edited = now.edited;
                    extra.deleted = now.deleted;
                }
            }
            Some(_) | None => extra.deleted = true,
        }
        Ok(())
    }

    /// A record of the reader's own chain says in its words which chat it is about.
    fn own_record(&mut self, message: &Message, view: &mut MessageView) -> Result<(), StoreError> {
        let Some(extra) = &message.extra else { return Ok(()) };
        let Some(place) = extra.place else { return Ok(()) };
        view.chat = match place.other(self.me) {
            Some(other) => self.name(other)?,
            None => match self.look.chat(place)? {
                Some(chat) => chat.called(),
                None => view.chat.clone(),
            },
        };
        view.previous = MessageId(0);
        if let Some(extra) = &mut view.extra {
            extra.private = true;
            extra.place = None;
        }
        Ok(())
    }
}

/// Whether one message is gone for one reader alone.
pub(in crate::domain) fn is_hidden(
    look: &impl Look,
    me: AccountNo,
    chat: ChatId,
    id: MessageId,
) -> Result<bool, StoreError> {
    let (before, after) = (id.0.saturating_sub(1), id.0.saturating_add(1));
    Ok(!look.hidden(me, chat, MessageId(before), MessageId(after))?.is_empty())
}

/// An edit in the eyes of somebody for whom what was edited is gone.
pub(in crate::domain) fn without_target(view: MessageView) -> MessageView {
    let target = view.extra.map(|extra| extra.target).unwrap_or_default();
    let extra = ExtraView { target, deleted: true, ..ExtraView::default() };
    MessageView { text: "".into(), extra: Some(Box::new(extra)), ..view }
}

/// What an account is called on the wire: its address.
pub(in crate::domain) fn name(look: &impl Look, no: AccountNo) -> Result<Name, StoreError> {
    Ok(account::row(look, no)?.called())
}
