//! Passwords that the server can read back, so that they answer challenges: app passwords, and the
//! account's own where it registered that way. What they are sealed with is none of the rules'
//! business.

use crate::domain::account::user;
use crate::domain::id::{AccountNo, Login, SessionKey};
use crate::domain::nouns::Secret;
use crate::domain::words::{AppPasswordView, Digest, Envelope, Refusal, Reply};
use crate::domain::{Context, Fault, session};
use crate::limits::{APP_PASSWORD_NAME_BYTES_MAX, APP_PASSWORDS_MAX};
use crate::store::{Look, StoreError, Tx};

/// The name of an account's own password; no app password has it.
const OWN: &str = "";

/// Keeps a new account's own password.
pub(in crate::domain) fn keep_own(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    account: AccountNo,
    envelope: Envelope,
) -> Result<(), StoreError> {
    let sealed = envelope.seal(account, OWN);
    let secret = Secret { name: OWN.into(), sealed, digest: None, created: context.now };
    tx.put_secret(account, &secret)
}

/// Whoever changes a password elsewhere keeps no readable copy of it here: the old one is gone.
pub(in crate::domain) fn drop_own(tx: &mut Tx<'_>, account: AccountNo) -> Result<(), StoreError> {
    if tx.has_secret(account, OWN)? { tx.remove_secret(account, OWN) } else { Ok(()) }
}

pub(in crate::domain) fn remove_all(tx: &mut Tx<'_>, account: AccountNo) -> Result<(), StoreError> {
    for name in tx.secret_names(account)? {
        tx.remove_secret(account, &name)?;
    }
    Ok(())
}

/// One more app password.
pub(in crate::domain) fn add(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    name: Option<Box<str>>,
    digest: Digest,
    envelope: Envelope,
) -> Result<Reply, Fault> {
    let account = user(tx, context, login)?.no;
    let mut names = tx.secret_names(account)?;
    names.retain(|name| **name != *OWN);
    let name = match name {
        Some(name) if name.len() > APP_PASSWORD_NAME_BYTES_MAX => {
            return Err(Refusal::FieldTooLong.into());
        }
        // It is shown in a list, one a line.
        Some(name) if name.trim().is_empty() || name.contains(char::is_control) => {
            return Err(Refusal::BadField.into());
        }
        Some(name) if names.contains(&name) => return Err(Refusal::AlreadyThere.into()),
        Some(name) => name,
        None => free_name(&names),
    };
    if names.len() >= APP_PASSWORDS_MAX {
        return Err(Refusal::TooManyAppPasswords.into());
    }
    let sealed = envelope.seal(account, &name);
    let secret = Secret { name, sealed, digest: Some(digest), created: context.now };
    tx.put_secret(account, &secret)?;
    Ok(Reply::AppPassword(secret.name))
}

/// The first of app-1, app-2 … that is not taken.
fn free_name(taken: &[Box<str>]) -> Box<str> {
    let mut n = 0;
    loop {
        n += 1;
        let name = format!("app-{n}");
        if !taken.iter().any(|taken| **taken == *name) {
            return name.into();
        }
    }
}

pub(in crate::domain) fn list(
    tx: &Tx<'_>,
    context: &Context<'_>,
    login: Login,
) -> Result<Reply, Fault> {
    let account = user(tx, context, login)?.no;
    let mut views = Vec::new();
    for Secret { name, sealed, created, .. } in tx.secrets(account)? {
        if &*name != OWN {
            views.push(AppPasswordView { name, created, sealed_under: sealed.key });
        }
    }
    Ok(Reply::AppPasswords(views))
}

/// Takes an app password back, and ends what was logged in with it: a lost telephone is the common
/// case.
pub(in crate::domain) fn revoke(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    login: Login,
    name: &str,
    ended: &mut Vec<SessionKey>,
) -> Result<(), Fault> {
    let account = user(tx, context, login)?.no;
    if name == OWN || !tx.has_secret(account, name)? {
        return Err(Refusal::NoSuchAppPassword.into());
    }
    tx.remove_secret(account, name)?;
    session::end_of_app(tx, account, name, ended)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, login, refused, verifier};
    use crate::domain::words::{Actor, Command, KeyId, Order, Outcome, Proof, Sealed};

    /// "Seals" by writing down what it was bound to.
    fn envelope() -> Envelope {
        Envelope::new(|account, name| Sealed {
            key: KeyId(7),
            bytes: format!("{} {name}", account.0).into_bytes().into(),
        })
    }

    fn add(world: &mut World, name: Option<&str>) -> Outcome {
        world.order(Order::AddAppPassword {
            login: login("alice"),
            name: name.map(Into::into),
            digest: Digest([1; 32]),
            envelope: envelope(),
        })
    }

    fn named(outcome: Outcome) -> Box<str> {
        match outcome.reply {
            Ok(Reply::AppPassword(name)) => name,
            other => panic!("{other:?}"),
        }
    }

    fn revoke(world: &mut World, name: &str) -> Outcome {
        world.order(Order::RevokeAppPassword { login: login("alice"), name: name.into() })
    }

    fn register(world: &mut World, name: &str) {
        let outcome = world.apply(
            Actor::Nobody,
            Command::Register {
                login: login(name),
                verifier: verifier("v"),
                invite: None,
                envelope: Some(envelope()),
                start: None,
            },
        );
        assert!(outcome.reply.is_ok(), "{outcome:?}");
    }

    fn names(world: &World) -> Vec<Box<str>> {
        let alice = world.account("alice");
        world.store.reader().read(|here| here.secret_names(alice)).unwrap()
    }

    #[test]
    fn app_passwords_have_names_and_a_limit() {
        let (mut world, [alice]) = World::of(["alice"]);
        assert_eq!(*named(add(&mut world, None)), *"app-1");
        assert_eq!(*named(add(&mut world, Some("phone"))), *"phone");
        assert_eq!(*named(add(&mut world, None)), *"app-2");
        assert_eq!(refused(&add(&mut world, Some("phone"))), Refusal::AlreadyThere);
        for bad in ["", " ", "a\nb"] {
            assert_eq!(refused(&add(&mut world, Some(bad))), Refusal::BadField, "{bad:?}");
        }
        let long = "x".repeat(APP_PASSWORD_NAME_BYTES_MAX + 1);
        assert_eq!(refused(&add(&mut world, Some(&long))), Refusal::FieldTooLong);
        for _ in 3..APP_PASSWORDS_MAX {
            named(add(&mut world, None));
        }
        assert_eq!(refused(&add(&mut world, None)), Refusal::TooManyAppPasswords);
        assert!(revoke(&mut world, "app-1").reply.is_ok());
        assert_eq!(*named(add(&mut world, None)), *"app-1");
        let secrets = world.store.reader().read(|here| here.secrets(alice.account)).unwrap();
        assert!(secrets.iter().all(|s| *s.sealed.bytes == *format!("1 {}", s.name).as_bytes()));
    }

    #[test]
    fn revoking_ends_what_was_logged_in_with_it_and_nothing_else() {
        let (mut world, [alice]) = World::of(["alice"]);
        let log_in = |world: &mut World, name: &str| {
            let proof = Proof::of_app(alice.account, name.into());
            world.apply(Actor::Nobody, Command::LogIn(proof))
        };
        for name in ["phone", "tablet"] {
            assert_eq!(refused(&log_in(&mut world, name)), Refusal::WrongCredentials);
            named(add(&mut world, Some(name)));
        }
        let outcome = log_in(&mut world, "phone");
        let Ok(Reply::LoggedIn { session, .. }) = outcome.reply else { panic!("{outcome:?}") };
        assert!(log_in(&mut world, "tablet").reply.is_ok());
        assert_eq!(revoke(&mut world, "phone").ended, [session.key()]);
        assert_eq!(refused(&revoke(&mut world, "phone")), Refusal::NoSuchAppPassword);
        assert_eq!(refused(&log_in(&mut world, "phone")), Refusal::WrongCredentials);
        assert!(world.ask(alice, Command::Newest).reply.is_ok());
    }

    #[test]
    fn an_accounts_own_password_is_no_app_password() {
        let mut world = World::new();
        register(&mut world, "alice");
        assert_eq!(names(&world), ["".into()]);
        assert_eq!(refused(&revoke(&mut world, "")), Refusal::NoSuchAppPassword);
        let order = Order::AppPasswords { login: login("alice") };
        let Ok(Reply::AppPasswords(list)) = world.order(order).reply else { panic!() };
        assert_eq!(list, []);
        // It takes no place of theirs.
        for _ in 0..APP_PASSWORDS_MAX {
            named(add(&mut world, None));
        }
    }

    #[test]
    fn a_new_password_drops_the_old_ones_copy_and_a_removed_account_everything() {
        let mut world = World::new();
        register(&mut world, "alice");
        named(add(&mut world, Some("phone")));
        world.order(Order::SetPassword { login: login("alice"), verifier: verifier("new") });
        assert_eq!(names(&world), ["phone".into()]);
        named(add(&mut world, Some("tablet")));
        assert!(world.order(Order::RemoveUser { login: login("alice") }).reply.is_ok());
        assert_eq!(names(&world), []);
        assert_eq!(refused(&add(&mut world, None)), Refusal::NoSuchAccount);
        assert_eq!(refused(&revoke(&mut world, "phone")), Refusal::NoSuchAccount);
    }

    #[test]
    fn a_refused_registration_keeps_no_secret() {
        let (mut world, [_]) = World::of(["alice"]);
        let (login, verifier) = (login("alice"), verifier("v"));
        let envelope = Some(envelope());
        let command = Command::Register { login, verifier, invite: None, envelope, start: None };
        assert_eq!(refused(&world.apply(Actor::Nobody, command)), Refusal::LoginTaken);
        assert_eq!(names(&world), []);
    }

    #[test]
    fn a_salt_is_sixteen_digits_and_a_number_that_grows() {
        let mut world = World::new();
        let mut last = 0;
        for _ in 0..3 {
            let outcome = world.apply(Actor::Nobody, Command::Challenge);
            let Ok(Reply::Challenge { salt }) = outcome.reply else { panic!("{outcome:?}") };
            let (random, number) = salt.split_once('-').unwrap();
            assert!(random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()), "{salt}");
            let number: u64 = number.parse().unwrap();
            assert!(last < number);
            last = number;
        }
    }
}
