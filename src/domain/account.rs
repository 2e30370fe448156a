//! Accounts: registering, and what the operator may do with them.
//!
//! Accounts, removed accounts and groups share one name space: a name that was given once is never
//! given again, so that nobody inherits somebody else's chats.

use crate::domain::id::{AccountNo, Address, Login, SessionKey};
use crate::domain::invite::{self, Ticket};
use crate::domain::nouns::{Account, AccountState};
use crate::domain::session::Caller;
use crate::domain::words::{
    Envelope, Move, News, Order, Refusal, Reply, Start, UserView, Verifier,
};
use crate::domain::{Context, Fault, Registration};
use crate::domain::{member, moving, people, profile, secret, session};
use crate::store::{Look, StoreError, Tx};

/// Contacts removed at a time with their owner.
const SLICE: usize = 256;

/// A new account by its owner's wish. Whether registration is open is settled before the login is
/// looked at, so that a closed server does not tell which logins exist.
pub(in crate::domain) fn register(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    (login, verifier): (Login, Verifier),
    code: Option<&str>,
    (envelope, start): (Option<Envelope>, Option<Box<Start>>),
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if let Some(start) = &start {
        profile::check_start(start)?;
    }
    let ticket = match (context.registration, code) {
        // A code that is not needed is not used up.
        (Registration::Open, _) => None,
        (Registration::Invite, Some(code)) => Some(invite::check(tx, context, code)?),
        (Registration::Invite, None) | (Registration::Closed, _) => {
            return Err(Refusal::RegistrationClosed.into());
        }
    };
    let no = create(tx, context, login, verifier)?;
    let logs_in = start.as_ref().is_some_and(|start| start.logs_in);
    if let Some(envelope) = envelope {
        secret::keep_own(tx, context, no, envelope)?;
    }
    if let Some(start) = start {
        profile::begin(tx, context, no, &start)?;
    }
    if !logs_in {
        people::tell(tx, context.here, no, Move::Appeared, news)?;
    }
    ticket.map_or(Ok(()), |ticket: Ticket| ticket.spend(tx))?;
    Ok(Reply::Registered { who: row(tx, no)?.called(), created: context.now })
}

/// Does what the operator says.
pub(in crate::domain) fn obey(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    order: Order,
    ended: &mut Vec<SessionKey>,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    match order {
        Order::AddUser { login, verifier } => {
            let no = create(tx, context, login, verifier)?;
            people::tell(tx, context.here, no, Move::Appeared, news)?;
        }
        Order::Users => return users(tx),
        Order::SetPassword { login, verifier } => set_password(tx, context, login, verifier)?,
        Order::DisableUser { login } => disable(tx, context, login, ended)?,
        Order::EnableUser { login } => enable(tx, context, login)?,
        Order::RemoveUser { login } => remove(tx, context, login, ended, news)?,
        Order::AddAppPassword { login, name, digest, envelope } => {
            return secret::add(tx, context, login, name, digest, envelope);
        }
        Order::AppPasswords { login } => return secret::list(tx, context, login),
        Order::RevokeAppPassword { login, name } => {
            secret::revoke(tx, context, login, &name, ended)?;
        }
        Order::Invite { uses } => return invite::create(tx, context, uses),
        Order::Import(piece) => return moving::take(tx, context, *piece),
    }
    Ok(Reply::Done)
}

fn create(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    verifier: Verifier,
) -> Result<AccountNo, Fault> {
    let address = Address::local(login, context.home);
    if tx.account_by_address(&address)?.is_some() || tx.chat_by_address(&address)?.is_some() {
        return Err(Refusal::LoginTaken.into());
    }
    let no = tx.next_account()?;
    let account = Account {
        no,
        address,
        verifier: Some(verifier),
        state: AccountState::Active,
        created: context.now,
        public_id: public_id(&context.chance),
    };
    tx.put_account(&account)?;
    Ok(no)
}

fn public_id(chance: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&chance[..8]);
    u64::from_be_bytes(bytes)
}

/// Everybody who can, or could, log in here, by number. Removed accounts are only names.
fn users(tx: &Tx<'_>) -> Result<Reply, Fault> {
    let mut users = Vec::new();
    for account in tx.accounts()? {
        let disabled = match account.state {
            AccountState::Active => false,
            AccountState::Disabled => true,
            AccountState::Removed | AccountState::Remote => continue,
        };
        users.push(UserView {
            account: account.no,
            login: account.login().as_str().into(),
            created: account.created,
            last_seen: tx.last_seen(account.no)?,
            disabled,
            sessions: u32::try_from(tx.sessions_of(account.no)?.len()).unwrap_or(u32::MAX),
        });
    }
    Ok(Reply::Users(users))
}

/// Sessions and app passwords stay: a forgotten password is the common case, and disabling the
/// account ends the sessions. The old password answers no challenge any more.
fn set_password(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    verifier: Verifier,
) -> Result<(), Fault> {
    let account = user(tx, context, login)?;
    secret::drop_own(tx, account.no)?;
    tx.put_account(&Account { verifier: Some(verifier), ..account })?;
    Ok(())
}

/// The same by its owner, whose session goes on as all the others do.
pub(in crate::domain) fn change_password(
    tx: &mut Tx<'_>,
    me: &Caller,
    verifier: Verifier,
) -> Result<Reply, Fault> {
    let account = row(tx, me.account)?;
    secret::drop_own(tx, account.no)?;
    tx.put_account(&Account { verifier: Some(verifier), ..account })?;
    Ok(Reply::Done)
}

fn disable(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    ended: &mut Vec<SessionKey>,
) -> Result<(), Fault> {
    let account = user(tx, context, login)?;
    let no = account.no;
    if account.state != AccountState::Disabled {
        tx.put_account(&Account { state: AccountState::Disabled, ..account })?;
    }
    session::end_all(tx, no, ended)?;
    Ok(())
}

fn enable(tx: &mut Tx<'_>, context: &Context<'_>, login: Login) -> Result<(), Fault> {
    let account = user(tx, context, login)?;
    if account.state != AccountState::Active {
        tx.put_account(&Account { state: AccountState::Active, ..account })?;
    }
    Ok(())
}

/// Leaves the name, so that nobody else gets it, and the messages, which belong to those who got
/// them as well. Passwords, sessions and contacts go.
fn remove(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    ended: &mut Vec<SessionKey>,
    news: &mut Vec<News>,
) -> Result<(), Fault> {
    let account = user(tx, context, login)?;
    let no = account.no;
    // Nobody's session does this, so nobody is answered instead of told.
    let me = Caller { account: no, key: SessionKey([0; 16]) };
    member::leave_all(tx, context, &me, news)?;
    tx.remove_profile(no)?;
    profile::remove_cards(tx, no)?;
    tx.put_account(&Account { state: AccountState::Removed, verifier: None, ..account })?;
    secret::remove_all(tx, no)?;
    session::end_all(tx, no, ended)?;
    loop {
        let contacts = tx.contacts(no, None, SLICE)?;
        for contact in &contacts {
            tx.remove_contact(no, &contact.who)?;
        }
        if contacts.len() < SLICE {
            return Ok(());
        }
    }
}

/// The account with a login of this server, unless it was removed.
pub(in crate::domain) fn user(
    tx: &Tx<'_>,
    context: &Context<'_>,
    login: Login,
) -> Result<Account, Fault> {
    let address = Address::local(login, context.home);
    let Some(no) = tx.account_by_address(&address)? else {
        return Err(Refusal::NoSuchAccount.into());
    };
    let account = row(tx, no)?;
    match account.state {
        AccountState::Active | AccountState::Disabled => Ok(account),
        AccountState::Removed | AccountState::Remote => Err(Refusal::NoSuchAccount.into()),
    }
}

/// Somebody of this server whom something can be asked; a disabled account will read it later.
pub(in crate::domain) fn here(
    look: &impl Look,
    home: &str,
    who: &Address,
) -> Result<AccountNo, Fault> {
    if !who.is_local(home) {
        return Err(Refusal::NoFederation.into());
    }
    let no = look.account_by_address(who)?.ok_or(Refusal::NoSuchAccount)?;
    match row(look, no)?.state {
        AccountState::Active | AccountState::Disabled => Ok(no),
        AccountState::Removed | AccountState::Remote => Err(Refusal::NoSuchAccount.into()),
    }
}

/// The row of an account that something else on the disk names.
pub(in crate::domain) fn row(look: &impl Look, no: AccountNo) -> Result<Account, StoreError> {
    let missing = || StoreError::Damaged(format!("account {} is named but not there", no.0));
    look.account(no)?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, address, contact, login, refused, verifier};
    use crate::domain::words::{Actor, Command};

    fn account_of(world: &World, name: &str) -> Account {
        let no = world.account(name);
        world.store.reader().read(|s| row(s, no)).unwrap()
    }

    #[test]
    fn a_name_is_given_once() {
        let mut world = World::new();
        let register = |world: &mut World| {
            let (login, verifier) = (login("alice"), verifier("v"));
            world.apply(
                Actor::Nobody,
                Command::Register { login, verifier, invite: None, envelope: None, start: None },
            )
        };
        let Ok(Reply::Registered { who, created }) = register(&mut world).reply else { panic!() };
        assert_eq!((&*who, created), ("alice@im.test", world.now));
        let account = account_of(&world, "alice");
        assert_eq!((account.no, account.created), (AccountNo(1), world.now));
        assert_eq!(refused(&register(&mut world)), Refusal::LoginTaken);

        assert!(world.order(Order::RemoveUser { login: login("alice") }).reply.is_ok());
        assert_eq!(refused(&register(&mut world)), Refusal::LoginTaken);
        let order = Order::AddUser { login: login("alice"), verifier: verifier("v") };
        assert_eq!(refused(&world.order(order)), Refusal::LoginTaken);
    }

    #[test]
    fn a_closed_server_does_not_tell_which_names_are_taken() {
        let (mut world, [_]) = World::of(["alice"]);
        world.registration = Registration::Closed;
        for name in ["alice", "bob"] {
            let (login, verifier) = (login(name), verifier("v"));
            let command =
                Command::Register { login, verifier, invite: None, envelope: None, start: None };
            let refusal = refused(&world.apply(Actor::Nobody, command));
            assert_eq!(refusal, Refusal::RegistrationClosed);
        }
    }

    #[test]
    fn only_the_operator_gives_orders() {
        let (mut world, [alice]) = World::of(["alice"]);
        let order = || Command::Operator(Order::RemoveUser { login: login("alice") });
        assert_eq!(refused(&world.ask(alice, order())), Refusal::NotAllowed);
        assert_eq!(refused(&world.apply(Actor::Nobody, order())), Refusal::NotAllowed);
    }

    #[test]
    fn disabling_ends_the_sessions_and_enabling_lets_in_again() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let outcome = world.order(Order::DisableUser { login: login("alice") });
        assert_eq!(outcome.ended, [alice.key]);
        assert_eq!(refused(&world.ask(alice, Command::Newest)), Refusal::UnknownSession);
        assert!(world.ask(bob, Command::Newest).reply.is_ok());
        let again = world.order(Order::DisableUser { login: login("alice") });
        assert!(again.reply.is_ok() && again.ended.is_empty());
        assert!(world.order(Order::EnableUser { login: login("alice") }).reply.is_ok());
        assert_eq!(account_of(&world, "alice").verifier, Some(verifier("old")));
        world.log_in("alice");
    }

    #[test]
    fn a_removed_account_keeps_its_name_and_nothing_else() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.ask(alice, Command::AddContact(contact("bob")));
        let outcome = world.order(Order::RemoveUser { login: login("alice") });
        assert_eq!(outcome.ended, [alice.key]);
        let account = account_of(&world, "alice");
        assert_eq!((account.state, account.verifier), (AccountState::Removed, None));
        let contacts = world.store.reader().read(|s| s.contact_count(alice.account));
        assert_eq!(contacts.unwrap(), 0);
        for order in [
            Order::RemoveUser { login: login("alice") },
            Order::EnableUser { login: login("alice") },
            Order::DisableUser { login: login("alice") },
            Order::SetPassword { login: login("alice"), verifier: verifier("new") },
            Order::RemoveUser { login: login("nobody") },
        ] {
            assert_eq!(refused(&world.order(order)), Refusal::NoSuchAccount);
        }
    }

    #[test]
    fn a_new_password_keeps_the_sessions() {
        let (mut world, [alice]) = World::of(["alice"]);
        let order = Order::SetPassword { login: login("alice"), verifier: verifier("new") };
        let outcome = world.order(order);
        assert!(outcome.reply.is_ok() && outcome.ended.is_empty());
        assert_eq!(account_of(&world, "alice").verifier, Some(verifier("new")));
        assert!(world.ask(alice, Command::Newest).reply.is_ok());
    }

    #[test]
    fn the_list_has_everybody_who_could_log_in() {
        let (mut world, [alice, _, _]) = World::of(["alice", "bob", "carol"]);
        world.log_in("alice");
        world.ask(alice, Command::Newest);
        world.order(Order::DisableUser { login: login("bob") });
        world.order(Order::RemoveUser { login: login("carol") });
        let Ok(Reply::Users(users)) = world.order(Order::Users).reply else { panic!() };
        let brief: Vec<_> = users.iter().map(|u| (&*u.login, u.disabled, u.sessions)).collect();
        assert_eq!(brief, [("alice", false, 2), ("bob", true, 0)]);
        assert_eq!(users[0].last_seen, Some(world.now));
        assert_eq!(users[1].last_seen, None);
        assert_eq!(address("alice"), account_of(&world, "alice").address);
    }
}
