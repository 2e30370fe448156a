//! Password hashes: Argon2id with its parameters and salt beside it, in PHC string form
//! (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`), so that a change of the configuration leaves older
//! hashes good.
//!
//! Both functions take tens of milliseconds of processor and `memory_kib` of memory on purpose:
//! never call them on an executor thread.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Password;
use crate::domain::words::Verifier;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// A verifier for a new password. `None` when the system has no randomness or the cost is outside
/// what Argon2 allows (a checked configuration never is).
pub fn hash(password: &[u8], cost: &Password) -> Option<Verifier> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).ok()?;
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(HASH_BYTES)).ok()?;
    let digest = digest(password, &salt, params)?;
    Some(Verifier(
        format!(
            "$argon2id$v=19$m={},t={},p=1${}${}",
            cost.memory_kib,
            cost.passes,
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(digest)
        )
        .into(),
    ))
}

/// Whether the password is the verifier's. A verifier that cannot be read matches nothing.
pub fn verify(password: &[u8], verifier: &Verifier) -> bool {
    let Some((params, salt, expected)) = parse(&verifier.0) else { return false };
    let Some(found) = digest(password, &salt, params) else { return false };
    same(&expected, &found)
}

/// Whether two hashes are equal, in the same time wherever they differ.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    // Out of the compiler's sight, which could stop at the first difference otherwise.
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

fn digest(password: &[u8], salt: &[u8], params: Params) -> Option<[u8; HASH_BYTES]> {
    let mut out = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut out)
        .ok()?;
    Some(out)
}

fn parse(text: &str) -> Option<(Params, Vec<u8>, Vec<u8>)> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let mut cost = cost.split(',');
    let memory = cost.next()?.strip_prefix("m=")?.parse().ok()?;
    let passes = cost.next()?.strip_prefix("t=")?.parse().ok()?;
    let lanes = cost.next()?.strip_prefix("p=")?.parse().ok()?;
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    Some((params, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Password = Password { memory_kib: 64, passes: 1 };

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let verifier = hash(b"correct horse", &CHEAP).expect("cheap parameters are valid");
        assert!(verify(b"correct horse", &verifier));
        assert!(!verify(b"correct horsf", &verifier));
        assert!(!verify(b"", &verifier));
        assert_ne!(hash(b"correct horse", &CHEAP), Some(verifier), "salts differ");
    }

    #[test]
    fn a_verifier_that_cannot_be_read_matches_nothing() {
        for text in ["", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA", "$argon2i$v=19$m=64,t=1,p=1$a$b"] {
            assert!(!verify(b"", &Verifier(text.into())), "{text}");
        }
    }

    #[test]
    fn a_known_answer_of_the_reference_implementation() {
        // echo -n password | argon2 somesalt -id -t 2 -k 64 -p 1 -l 32 -r
        let known = "16a1a498734609dd01456da406de9f3d9da93e6c86c300a12fc1465214ce4922";
        let params = Params::new(64, 2, 1, Some(HASH_BYTES)).unwrap();
        let found = digest(b"password", b"somesalt", params).unwrap();
        let found: String = found.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, known);
    }
}
