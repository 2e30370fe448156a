//! Contacts.

use crate::domain::id::{AccountNo, Address};
use crate::domain::nouns::Contact;
use crate::store::{StoreError, Tx, rows};

impl Tx<'_> {
    pub fn put_contact(&mut self, owner: AccountNo, contact: &Contact) -> Result<(), StoreError> {
        self.begin()?;
        self.state.known.contacts.forget(&owner);
        let table = self.tables.contacts_mut()?;
        let who = contact.who.to_string();
        table.put((owner.0, &who), rows::CONTACT_TAGS, |out| rows::put_contact(contact, out))
    }

    pub fn remove_contact(&mut self, owner: AccountNo, who: &Address) -> Result<(), StoreError> {
        self.begin()?;
        self.state.known.contacts.forget(&owner);
        self.tables.contacts_mut()?.remove((owner.0, &who.to_string()))
    }
}
