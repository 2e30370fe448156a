//! Profiles, cards, and which chats a space has.

use crate::domain::id::{AccountNo, ChatId};
use crate::domain::nouns::Profile;
use crate::store::look::Books;
use crate::store::tables::Shelf;
use crate::store::{StoreError, Tx, rows};

impl Tx<'_> {
    pub fn put_profile(&mut self, who: AccountNo, profile: &Profile) -> Result<(), StoreError> {
        self.begin()?;
        let table = self.tables.profiles_mut()?;
        table.put(who.0, rows::PROFILE_TAGS, |out| rows::put_profile(profile, out))
    }

    pub fn remove_profile(&mut self, who: AccountNo) -> Result<(), StoreError> {
        self.begin()?;
        self.tables.profiles_mut()?.remove(who.0)
    }

    /// What `of` keeps about a chat; empty removes it. See `tables::CARDS`.
    pub fn put_card(&mut self, of: AccountNo, chat: ChatId, card: &str) -> Result<(), StoreError> {
        let key = (of.0, chat.0);
        if card.is_empty() && !self.tables().cards()?.has(key)? {
            return Ok(());
        }
        self.begin()?;
        let table = self.tables.cards_mut()?;
        match card {
            "" => table.remove(key),
            card => table.put(key, rows::CARD_TAGS, |out| rows::put_card(card, out)),
        }
    }

    /// `space`: its general chat, which is the first of its chats.
    pub fn put_in_space(&mut self, space: ChatId, chat: ChatId) -> Result<(), StoreError> {
        self.begin()?;
        self.tables.spaces_mut()?.put((space.0, chat.0), 0, |_| {})
    }

    pub fn remove_from_space(&mut self, space: ChatId, chat: ChatId) -> Result<(), StoreError> {
        self.begin()?;
        self.tables.spaces_mut()?.remove((space.0, chat.0))
    }
}
