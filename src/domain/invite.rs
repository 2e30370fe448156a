//! Invitations: codes that let a number of people register while registration is not open.
//!
//! Only a code's hash is kept, so that a copied database invites nobody.

use crate::domain::id::{Timestamp, spelled};
use crate::domain::nouns::Invite;
use crate::domain::words::{Refusal, Reply};
use crate::domain::{Context, Fault};
use crate::store::{Look, Tx};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 80 random bits: beyond guessing, still short enough to be read aloud.
const CODE_CHARS: usize = 16;

/// A code that was found good, with what is left of it.
#[derive(Debug)]
pub(in crate::domain) struct Ticket {
    code_hash: [u8; 16],
    invite: Invite,
}

/// A new code for `uses` people, good for `invite_ttl` days.
pub(in crate::domain) fn create(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    uses: u32,
) -> Result<Reply, Fault> {
    if uses == 0 {
        return Err(Refusal::BadField.into());
    }
    let code = spelled(&context.chance[..CODE_CHARS]);
    let lifetime = context.limits.invite_ttl.saturating_mul(DAY_MS);
    let expires = Timestamp(context.now.0.saturating_add(lifetime));
    tx.put_invite(&code_hash(&code), &Invite { uses, expires })?;
    Ok(Reply::Invite(code.into()))
}

/// Looks a code up; it is used up by [`Ticket::spend`] only, once nothing else can refuse.
pub(in crate::domain) fn check(
    tx: &Tx<'_>,
    context: &Context<'_>,
    code: &str,
) -> Result<Ticket, Fault> {
    let code_hash = code_hash(code);
    match tx.invite(&code_hash)? {
        Some(invite) if invite.uses > 0 && is_good(&invite, context) => {
            Ok(Ticket { code_hash, invite })
        }
        Some(_) | None => Err(Refusal::BadInvite.into()),
    }
}

/// Not for longer than one that was made now, and a day: what was made while the clock stood years
/// ahead is not good for years.
fn is_good(invite: &Invite, context: &Context<'_>) -> bool {
    let most = context.limits.invite_ttl.saturating_add(1).saturating_mul(DAY_MS);
    let left = invite.expires.0.saturating_sub(context.now.0);
    context.sure < invite.expires && left <= most
}

impl Ticket {
    pub(in crate::domain) fn spend(self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let Ticket { code_hash, invite } = self;
        if invite.uses <= 1 {
            tx.remove_invite(&code_hash)?;
        } else {
            tx.put_invite(&code_hash, &Invite { uses: invite.uses - 1, ..invite })?;
        }
        Ok(())
    }
}

/// People type codes with capitals, spaces or without the hyphens: only letters and digits count.
fn code_hash(code: &str) -> [u8; 16] {
    let mut essence = String::with_capacity(CODE_CHARS);
    essence
        .extend(code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()));
    let digest = ring::digest::digest(&ring::digest::SHA256, essence.as_bytes());
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest.as_ref()[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Registration;
    use crate::domain::testing::{World, login, refused, verifier};
    use crate::domain::words::{Actor, Command, Order, Outcome};

    fn invited(uses: u32) -> (World, Box<str>) {
        let mut world = World::new();
        world.registration = Registration::Invite;
        match world.order(Order::Invite { uses }).reply {
            Ok(Reply::Invite(code)) => (world, code),
            other => panic!("{other:?}"),
        }
    }

    fn register(world: &mut World, name: &str, code: Option<&str>) -> Outcome {
        let invite = code.map(Into::into);
        let command = Command::Register {
            login: login(name),
            verifier: verifier("v"),
            invite,
            envelope: None,
            start: None,
        };
        world.apply(Actor::Nobody, command)
    }

    #[test]
    fn a_code_lets_so_many_people_in() {
        let (mut world, code) = invited(2);
        assert_eq!(code.len(), CODE_CHARS + 3);
        assert_eq!(refused(&register(&mut world, "a", None)), Refusal::RegistrationClosed);
        assert_eq!(refused(&register(&mut world, "a", Some("x"))), Refusal::BadInvite);
        assert!(register(&mut world, "a", Some(&code)).reply.is_ok());
        // A refused registration uses nothing up.
        assert_eq!(refused(&register(&mut world, "a", Some(&code))), Refusal::LoginTaken);
        assert!(register(&mut world, "b", Some(&code)).reply.is_ok());
        assert_eq!(refused(&register(&mut world, "c", Some(&code))), Refusal::BadInvite);
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        let (mut world, code) = invited(1);
        let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
        assert!(register(&mut world, "a", Some(&typed)).reply.is_ok());
    }

    #[test]
    fn a_code_expires() {
        let (mut world, code) = invited(1);
        world.now.0 += world.limits.invite_ttl * DAY_MS;
        assert_eq!(refused(&register(&mut world, "a", Some(&code))), Refusal::BadInvite);
        world.now.0 -= 1;
        assert!(register(&mut world, "a", Some(&code)).reply.is_ok());
    }

    #[test]
    fn a_code_that_is_not_needed_is_not_used_up() {
        let (mut world, code) = invited(1);
        world.registration = Registration::Open;
        assert!(register(&mut world, "a", Some(&code)).reply.is_ok());
        world.registration = Registration::Closed;
        assert_eq!(refused(&register(&mut world, "b", Some(&code))), Refusal::RegistrationClosed);
        world.registration = Registration::Invite;
        assert!(register(&mut world, "b", Some(&code)).reply.is_ok());
    }

    #[test]
    fn an_invitation_for_nobody_is_none() {
        let mut world = World::new();
        assert_eq!(refused(&world.order(Order::Invite { uses: 0 })), Refusal::BadField);
    }
}
