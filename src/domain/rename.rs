//! Another login for an account. The number stays, and with it everything that is written of the
//! account; the login before it stays the account's own, so that whatever still says it leads there
//! and nobody else ever gets it.
//!
//! Contacts are kept by address, and a block must hold whatever its object is called: whoever
//! keeps the account keeps it by its present address.

use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, Login};
use crate::domain::name::Name;
use crate::domain::nouns::{Account, Contact, ContactState};
use crate::domain::session::Caller;
use crate::domain::words::{Audience, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, contact, people, profile};
use crate::store::{Look, StoreError, Tx};

/// The address that somebody has now, whichever of theirs was said. One that is nobody's here stays
/// as it is.
pub(in crate::domain) fn present(look: &impl Look, who: Address) -> Result<Address, StoreError> {
    Ok(match look.account_by_address(&who)? {
        Some(no) => account::row(look, no)?.address,
        None => who,
    })
}

pub(in crate::domain) fn change_login(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    login: Login,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let old = account::row(tx, me.account)?;
    let address = Address::local(login, context.home);
    if address == old.address {
        return Ok(Reply::Name(old.called()));
    }
    // One of their own from before they may have again.
    let is_others = tx.account_by_address(&address)?.is_some_and(|no| no != me.account);
    if is_others || tx.chat_by_address(&address)?.is_some() {
        return Err(Refusal::LoginTaken.into());
    }
    let new = Account { address, ..old.clone() };
    tx.put_account(&new)?;
    let mut told = people::followers(tx, context.here, me.account)?;
    told.extend(profile::partners(tx, me.account)?.iter());
    for keeper in tx.accounts()? {
        if let Some(contact) = tx.contact(keeper.no, &old.address)? {
            let shares = matches!(contact.state, ContactState::Plain | ContactState::Requested);
            told.extend(shares.then_some(keeper.no).filter(|no| *no != me.account));
            keep(tx, context, keeper.no, (contact, &old), &new, news)?;
        }
    }
    told.sort_unstable();
    told.dedup();
    let event = Event::Renamed { who: new.called(), old: old.called() };
    news.push(News::to_one(me.account, Some(me.key), event.clone()));
    let all: Arc<[AccountNo]> = told.into();
    news.push(News::new(Audience::Many { all, but: None }, None, event));
    Ok(Reply::Name(new.called()))
}

/// Puts a contact where it is found from now on. For those who know nothing of names that change it
/// is another contact.
fn keep(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    keeper: AccountNo,
    (contact, old): (Contact, &Account),
    new: &Account,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    tx.remove_contact(keeper, &old.address)?;
    let name = match *contact.name == *old.address.to_string() {
        true => new.address.to_string().into(),
        false => contact.name.clone(),
    };
    let kept = Contact { who: new.address.clone(), name, ..contact };
    tx.put_contact(keeper, &kept)?;
    if !kept.unlisted {
        let who: Name = old.called();
        news.push(News::to_one(keeper, None, Event::ContactRemoved { who }));
        let view = contact::view(tx, &context.scene(), keeper, kept)?;
        news.push(News::to_one(keeper, None, Event::ContactCreated(view)));
    }
    Ok(())
}
