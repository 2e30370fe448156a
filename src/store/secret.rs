//! Secrets that are kept sealed.

use crate::domain::id::AccountNo;
use crate::domain::nouns::Secret;
use crate::store::{StoreError, Tx, rows};

impl Tx<'_> {
    pub fn put_secret(&mut self, owner: AccountNo, secret: &Secret) -> Result<(), StoreError> {
        self.begin()?;
        let table = self.tables.secrets_mut()?;
        let key = (owner.0, &*secret.name);
        table.put(key, rows::SECRET_TAGS, |out| rows::put_secret(secret, out))
    }

    pub fn remove_secret(&mut self, owner: AccountNo, name: &str) -> Result<(), StoreError> {
        self.begin()?;
        self.tables.secrets_mut()?.remove((owner.0, name))
    }
}
