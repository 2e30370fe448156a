//! Profiles, and which chats a space has.

use crate::domain::id::{AccountNo, ChatId};
use crate::domain::nouns::Profile;
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
