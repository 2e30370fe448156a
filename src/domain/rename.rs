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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{Me, World, address, contact, heard_by, login, refused};
    use crate::domain::words::{Command, Handle, Order, Query};

    fn rename(world: &mut World, me: Me, to: &str) -> crate::domain::words::Outcome {
        world.ask(me, Command::ChangeLogin { login: login(to) })
    }

    #[test]
    fn the_old_name_leads_on_and_is_nobody_elses_for_good() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(bob, "alice", "hello");
        let outcome = rename(&mut world, alice, "alicia");
        assert!(matches!(&outcome.reply, Ok(Reply::Name(name)) if **name == *"alicia@im.test"));
        world.sent(bob, "alice", "to the old name");
        world.sent(bob, "alicia", "to the new one");
        let chats = world.chats(bob);
        assert_eq!((chats.len(), &*chats[0].chat), (1, "alicia@im.test"));
        let named = world.read(bob, &Query::Name { of: Handle::Person(alice.account) });
        assert!(matches!(named, Ok(Reply::Name(name)) if *name == *"alicia@im.test"));
        for taken in ["alice", "alicia", "bob"] {
            let order = Order::AddUser {
                login: login(taken),
                verifier: crate::domain::testing::verifier("v"),
            };
            assert_eq!(refused(&world.order(order)), Refusal::LoginTaken, "{taken}");
        }
        for taken in ["alice", "alicia"] {
            assert_eq!(refused(&rename(&mut world, bob, taken)), Refusal::LoginTaken, "{taken}");
        }
        world.group(bob, "garden");
        assert_eq!(refused(&rename(&mut world, alice, "garden")), Refusal::LoginTaken);
        // Twice is once, and back is allowed.
        assert!(rename(&mut world, alice, "alicia").news.is_empty());
        assert!(rename(&mut world, alice, "alice").reply.is_ok());
        assert_eq!(&*world.chats(bob)[1].chat, "alice@im.test");
    }

    #[test]
    fn whoever_keeps_somebody_keeps_them_by_the_new_name() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.ask(bob, Command::AddContact(contact("alice")));
        world.ask(carol, Command::Block { who: address("alice"), on: true });
        let outcome = rename(&mut world, alice, "alicia");
        let heard = heard_by(&outcome, bob.account, None);
        assert_eq!(*heard[0], Event::ContactRemoved { who: "alice@im.test".into() });
        assert!(matches!(&**heard[1], Event::ContactCreated(c) if *c.name == *"alicia@im.test"));
        let renamed = Event::Renamed { who: "alicia@im.test".into(), old: "alice@im.test".into() };
        assert_eq!(*heard[2], renamed);
        assert!(heard_by(&outcome, carol.account, None).is_empty());
        // No block is lost by it, and either name finds the contact.
        assert_eq!(refused(&world.send(alice, "carol", "hello")), Refusal::NotAllowed);
        for who in ["alice", "alicia"] {
            let again = world.ask(bob, Command::AddContact(contact(who)));
            assert_eq!(refused(&again), Refusal::AlreadyThere);
        }
        let lift = Command::Block { who: address("alice"), on: false };
        assert!(world.ask(carol, lift).reply.is_ok());
        world.sent(alice, "carol", "hello");
        let gone = world.ask(bob, Command::RemoveContact { who: address("alice") });
        assert!(gone.reply.is_ok());
        let kept = world.store.reader().read(|s| s.contact_count(bob.account)).unwrap();
        assert_eq!(kept, 0);
    }
}
