//! Sessions: logging in and out, how long they last, and when an account was last seen.
//!
//! A session's row is the only truth about it; whoever keeps a copy in memory asks again here when
//! a command is applied. That a session is in use is noted by the engine, which also knows of
//! those that only listen.

use crate::domain::id::{AccountNo, SessionId, SessionKey, Timestamp};
use crate::domain::nouns::{Account, AccountState, Session};
use crate::domain::words::{Actor, Proof, Refusal, Reply};
use crate::domain::{Context, Fault};
use crate::limits::Limits;
use crate::store::{Look, StoreError, Tx};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The session that says a command, as it lies in the transaction.
#[derive(Debug)]
pub(in crate::domain) struct Caller {
    pub(in crate::domain) account: AccountNo,
    pub(in crate::domain) key: SessionKey,
}

impl Caller {
    /// Who speaks; a refusal where it is nobody whom an account's commands are open to.
    pub(in crate::domain) fn of(
        tx: &Tx<'_>,
        context: &Context<'_>,
        actor: Actor,
    ) -> Result<Result<Caller, Refusal>, StoreError> {
        let (account, key) = match actor {
            Actor::Session { account, key } => (account, key),
            Actor::Nobody | Actor::Operator => return Ok(Err(Refusal::NoSession)),
        };
        Ok(match tx.session(key)? {
            Some(session)
                if session.account == account
                    && session_is_live(&session, context.sure, context.limits) =>
            {
                Ok(Caller { account, key })
            }
            Some(_) | None => Err(Refusal::UnknownSession),
        })
    }
}

/// Whether a session still counts: used within `session_ttl` days. It may live a day longer,
/// because its use is noted only once a day.
pub fn session_is_live(session: &Session, now: Timestamp, limits: &Limits) -> bool {
    let unused = now.0.saturating_sub(session.used.0);
    unused < limits.session_ttl.saturating_mul(DAY_MS).saturating_add(DAY_MS)
}

/// A salt for a challenge. Nobody's login is looked at, so a salt tells nothing of anybody.
pub(in crate::domain) fn challenge(tx: &mut Tx<'_>, context: &Context<'_>) -> Result<Reply, Fault> {
    let mut random = [0; 8];
    random.copy_from_slice(&context.chance[..8]);
    let salt = format!("{:016x}-{}", u64::from_be_bytes(random), tx.next_salt()?);
    Ok(Reply::Challenge { salt: salt.into() })
}

/// A new session. Past `sessions_per_account` the one that went unused longest ends for it: who
/// has just proven the password gets in, and nobody is locked out by devices they no longer have.
pub(in crate::domain) fn log_in(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    proof: &Proof,
    ended: &mut Vec<SessionKey>,
) -> Result<Reply, Fault> {
    // While the password was being hashed the account may have been disabled, or got another one.
    let changed =
        |account: &Account| proof.verifier.is_some() && account.verifier != proof.verifier;
    match tx.account(proof.account)? {
        Some(account) if account.state == AccountState::Active && !changed(&account) => {}
        Some(_) | None => return Err(Refusal::WrongCredentials.into()),
    }
    // As its app password may have been revoked.
    if let Some(name) = &proof.app
        && !tx.has_secret(proof.account, name)?
    {
        return Err(Refusal::WrongCredentials.into());
    }
    make_room(tx, context, proof.account, ended)?;
    let id = SessionId::new(context.chance);
    let session = Session {
        account: proof.account,
        kind: proof.kind,
        created: context.now,
        used: context.now,
        app: proof.app.clone(),
    };
    tx.put_session(id.key(), &session)?;
    let who = crate::domain::eyes::name(tx, proof.account)?;
    Ok(Reply::LoggedIn { session: id, account: proof.account, who })
}

/// Ends so many of an account's sessions that one more is within the limit, least recently used
/// first. Reads the rows only where there is no room.
fn make_room(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    account: AccountNo,
    ended: &mut Vec<SessionKey>,
) -> Result<(), StoreError> {
    let most = context.limits.sessions_per_account.max(1) as usize;
    let keys = tx.sessions_of(account)?;
    if keys.len() < most {
        return Ok(());
    }
    let surplus = keys.len() + 1 - most;
    let mut by_use = Vec::with_capacity(keys.len());
    for key in keys {
        // The key comes last so that the choice between equals is the same every time.
        let use_of = tx.session(key)?.map(|session| (session.used, session.created));
        by_use.push((use_of, key));
    }
    by_use.sort_unstable();
    for (_, key) in by_use.into_iter().take(surplus) {
        tx.remove_session(key)?;
        ended.push(key);
    }
    Ok(())
}

pub(in crate::domain) fn log_out(
    tx: &mut Tx<'_>,
    me: &Caller,
    ended: &mut Vec<SessionKey>,
) -> Result<Reply, Fault> {
    tx.remove_session(me.key)?;
    ended.push(me.key);
    Ok(Reply::Done)
}

/// Ends every session of an account.
pub(in crate::domain) fn end_all(
    tx: &mut Tx<'_>,
    account: AccountNo,
    ended: &mut Vec<SessionKey>,
) -> Result<(), StoreError> {
    for key in tx.sessions_of(account)? {
        tx.remove_session(key)?;
        ended.push(key);
    }
    Ok(())
}

/// Ends the sessions that were made with an app password.
pub(in crate::domain) fn end_of_app(
    tx: &mut Tx<'_>,
    account: AccountNo,
    name: &str,
    ended: &mut Vec<SessionKey>,
) -> Result<(), StoreError> {
    for key in tx.sessions_of(account)? {
        if tx.session(key)?.is_some_and(|session| session.app.as_deref() == Some(name)) {
            tx.remove_session(key)?;
            ended.push(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::login;
    use crate::domain::testing::{Me, World, refused};
    use crate::domain::words::{Command, Order};

    fn outcome_of_newest(world: &mut World, me: Me) -> Result<Reply, Refusal> {
        world.ask(me, Command::Newest).reply
    }

    #[test]
    fn who_logs_out_is_unknown_from_then_on() {
        let (mut world, [alice]) = World::of(["alice"]);
        let other = world.log_in("alice");
        assert!(matches!(outcome_of_newest(&mut world, alice), Ok(Reply::Newest(_))));
        let outcome = world.ask(alice, Command::LogOut);
        assert_eq!(outcome.ended, [alice.key]);
        assert_eq!(outcome_of_newest(&mut world, alice).unwrap_err(), Refusal::UnknownSession);
        assert!(outcome_of_newest(&mut world, other).is_ok());
    }

    #[test]
    fn a_session_speaks_for_its_own_account_only() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let forged = Me { account: bob.account, key: alice.key };
        let refusal = refused(&world.ask(forged, Command::LogOut));
        assert_eq!(refusal, Refusal::UnknownSession);
    }

    #[test]
    fn commands_of_an_account_need_a_session() {
        let mut world = World::new();
        for actor in [Actor::Nobody, Actor::Operator] {
            assert_eq!(refused(&world.apply(actor, Command::Newest)), Refusal::NoSession);
        }
    }

    #[test]
    fn a_password_that_was_replaced_while_it_was_checked_opens_nothing() {
        let (mut world, [alice]) = World::of(["alice"]);
        let proof = |world: &World| {
            let account = world.store.reader().read(|s| s.account(alice.account));
            let verifier = account.unwrap().unwrap().verifier.unwrap();
            Command::LogIn(Proof::by(alice.account, verifier))
        };
        let (early, late) = (proof(&world), proof(&world));
        assert!(world.apply(Actor::Nobody, early).reply.is_ok());
        world.force(|tx| {
            let mut account = tx.account(alice.account)?.unwrap();
            account.verifier = Some(crate::domain::words::Verifier("another".into()));
            tx.put_account(&account)
        });
        let outcome = world.apply(Actor::Nobody, late);
        assert_eq!(refused(&outcome), Refusal::WrongCredentials);
        let fresh = proof(&world);
        assert!(world.apply(Actor::Nobody, fresh).reply.is_ok());
    }

    fn use_now(world: &mut World, me: Me) {
        let now = world.now;
        world.force(|tx| {
            let session = tx.session(me.key)?.unwrap();
            tx.put_session(me.key, &Session { used: now, ..session })
        });
    }

    #[test]
    fn an_unused_session_expires_and_a_used_one_does_not() {
        let (mut world, [used, unused]) = World::of(["alice", "bob"]);
        world.limits.session_ttl = 10;
        world.now.0 += 11 * DAY_MS - 1;
        use_now(&mut world, used);
        assert!(outcome_of_newest(&mut world, unused).is_ok());
        world.now.0 += 1;
        assert!(outcome_of_newest(&mut world, used).is_ok());
        let refusal = outcome_of_newest(&mut world, unused).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownSession);
    }

    #[test]
    fn one_session_too_many_ends_the_one_unused_longest() {
        let (mut world, [first]) = World::of(["alice"]);
        world.limits.sessions_per_account = 3;
        world.now.0 += 1;
        let second = world.log_in("alice");
        world.now.0 += 1;
        let third = world.log_in("alice");
        world.now.0 += 2 * DAY_MS;
        use_now(&mut world, first);

        let outcome = world.try_log_in(first.account);
        assert!(outcome.reply.is_ok());
        assert_eq!(outcome.ended, [second.key]);
        for me in [first, third] {
            assert!(outcome_of_newest(&mut world, me).is_ok());
        }
        // A limit that was lowered since is reached at once.
        world.limits.sessions_per_account = 1;
        assert_eq!(world.try_log_in(first.account).ended.len(), 3);
    }

    #[test]
    fn an_account_that_is_not_active_does_not_log_in() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.order(Order::DisableUser { login: login("alice") });
        world.order(Order::RemoveUser { login: login("bob") });
        for no in [alice.account, bob.account, AccountNo(999)] {
            assert_eq!(refused(&world.try_log_in(no)), Refusal::WrongCredentials);
        }
    }

    #[test]
    fn whoever_does_something_was_seen() {
        let (mut world, [alice]) = World::of(["alice"]);
        let seen = |world: &mut World| {
            world.store.flush().unwrap();
            world.store.reader().read(|s| s.last_seen(alice.account)).unwrap()
        };
        assert_eq!(seen(&mut world), None);
        world.ask(alice, Command::Newest);
        assert_eq!(seen(&mut world), Some(world.now));
        world.now.0 += DAY_MS;
        world.ask(alice, Command::Newest);
        assert_eq!(seen(&mut world), Some(world.now));
    }
}
