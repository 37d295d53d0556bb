//! AlterUserScramCredentials: users' SCRAM credentials are set and taken away (KIP-554).
//!
//! It only keeps them. Each user has one result, and is altered once a request or not at all. The
//! texts of refusals are Kafka's. A request may name very many users: what is held for each is
//! small.

use std::collections::BTreeMap;

use protocol::error::ErrorCode;

use crate::decision::{Decision, Messages, Refusal};
use crate::image::Image;
use crate::record::{Record, RemoveUserScramCredentialRecord, UserScramCredentialRecord};
use crate::scram_formatter::ScramMechanism;
use crate::topics::{RECORDS_PER_REQUEST_MAX, too_large};

const ITERATIONS_MIN: i32 = 4096;
const ITERATIONS_MAX: i32 = 16384;

/// What is to become of one credential of a user.
#[derive(Clone, Debug, PartialEq)]
pub enum Alteration {
    /// It is taken away, if it is there. The mechanism is Kafka's number.
    Remove(Box<str>, i8),
    /// It is set, whatever was there before, unless what was given makes none.
    Set(Box<str>, Result<Credential, Refused>),
}

/// A credential as it is kept.
pub type Credential = Box<UserScramCredentialRecord<'static>>;

/// What a client makes of a password, so that the password itself stays with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaltedPassword<'a> {
    /// How many times it is hashed.
    pub iterations: i32,
    /// With what.
    pub salt: &'a [u8],
    /// What comes of it.
    pub salted_password: &'a [u8],
}

/// Why a credential is not altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    code: ErrorCode,
    text: Option<&'static str>,
}

const NO_USER: Refused = refused(
    ErrorCode::UnacceptableCredential,
    "Username must not be empty",
);
const NO_MECHANISM: Refused = refused(
    ErrorCode::UnsupportedSaslMechanism,
    "Unknown SCRAM mechanism",
);
const TOO_FEW: Refused = refused(ErrorCode::UnacceptableCredential, "Too few iterations");
const TOO_MANY: Refused = refused(ErrorCode::UnacceptableCredential, "Too many iterations");
/// Java has no empty keys; Kafka does not tell more of it.
const NO_PASSWORD: Refused = Refused {
    code: ErrorCode::UnknownServerError,
    text: None,
};
const NOT_THERE: Refused = refused(
    ErrorCode::ResourceNotFound,
    "Attempt to delete a user credential that does not exist",
);
const TWICE: Refused = refused(
    ErrorCode::DuplicateResource,
    "A user credential cannot be altered twice in the same request",
);

const fn refused(code: ErrorCode, text: &'static str) -> Refused {
    Refused {
        code,
        text: Some(text),
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused.text {
            Some(text) => Refusal::new(refused.code, text),
            None => Refusal::silent(refused.code),
        }
    }
}

/// The credential that is kept of a password. This is the work of a request, a few microseconds
/// each, and takes no image: done before [`alter`], it keeps the metadata log waiting for nothing.
pub fn credential(
    user: &str,
    mechanism: i8,
    password: &SaltedPassword<'_>,
) -> Result<Credential, Refused> {
    let known = check_name(user, mechanism)?;
    match password.iterations {
        ..ITERATIONS_MIN => return Err(TOO_FEW),
        ITERATIONS_MIN..=ITERATIONS_MAX => {}
        _ => return Err(TOO_MANY),
    }
    if password.salted_password.is_empty() {
        return Err(NO_PASSWORD);
    }
    let keys = known.keys(password.salted_password);
    Ok(Box::new(UserScramCredentialRecord {
        name: user.to_owned().into(),
        mechanism,
        salt: password.salt.to_owned().into(),
        stored_key: keys.stored_key.into(),
        server_key: keys.server_key.into(),
        iterations: password.iterations,
    }))
}

fn check_name(user: &str, mechanism: i8) -> Result<ScramMechanism, Refused> {
    match user.is_empty() {
        true => Err(NO_USER),
        false => ScramMechanism::from_wire(mechanism).ok_or(NO_MECHANISM),
    }
}

/// One result for every user: the place of its first alteration, and what became of it.
pub type Results = Vec<(usize, Result<(), Refusal>)>;

/// Decides on all alterations of one request, of which deletions come first. An `Err` refuses the
/// request whole.
pub fn alter(image: &Image, alterations: &[Alteration]) -> Result<Decision<Results>, Refusal> {
    let mut of_users: BTreeMap<&str, (usize, Result<(), Refused>)> = BTreeMap::new();
    for (at, alteration) in alterations.iter().enumerate() {
        let (Alteration::Remove(user, _) | Alteration::Set(user, _)) = alteration;
        match of_users.get_mut(&**user) {
            None => {
                of_users.insert(user, (at, check(image, alteration)));
            }
            Some((_, result @ Ok(()))) => *result = Err(TWICE),
            // The first refusal stays.
            Some((_, Err(_))) => {}
        }
    }
    let accepted = || of_users.values().filter(|(_, result)| result.is_ok());
    if accepted().count() > RECORDS_PER_REQUEST_MAX {
        return Err(too_large());
    }
    let records = accepted()
        .map(|(at, _)| record(&alterations[*at]))
        .collect();
    let mut messages = Messages::default();
    let results = of_users.into_values();
    let outcome = results
        .map(|(at, result)| (at, messages.admit(result.map_err(Refusal::from))))
        .collect();
    Ok(Decision { records, outcome })
}

fn check(image: &Image, alteration: &Alteration) -> Result<(), Refused> {
    let (user, mechanism) = match alteration {
        Alteration::Set(_, credential) => return credential.as_ref().map(drop).map_err(|it| *it),
        Alteration::Remove(user, mechanism) => (user, *mechanism),
    };
    check_name(user, mechanism)?;
    let credentials = image.scram_credentials_of(user);
    match credentials.iter().any(|(known, _)| *known == mechanism) {
        true => Ok(()),
        false => Err(NOT_THERE),
    }
}

/// The record of an alteration that was accepted.
fn record(alteration: &Alteration) -> Record {
    match alteration {
        Alteration::Set(_, credential) => {
            let credential = credential.as_ref().expect("it was accepted");
            Record::UserScramCredential(UserScramCredentialRecord::clone(credential))
        }
        Alteration::Remove(user, mechanism) => {
            Record::RemoveUserScramCredential(RemoveUserScramCredentialRecord {
                name: user.to_string().into(),
                mechanism: *mechanism,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::apply;

    const SALTED: SaltedPassword<'_> = SaltedPassword {
        iterations: 4096,
        salt: b"salt",
        salted_password: &[7; 32],
    };

    fn set(user: &str, mechanism: i8, iterations: i32) -> Alteration {
        let password = SaltedPassword {
            iterations,
            ..SALTED
        };
        Alteration::Set(user.into(), credential(user, mechanism, &password))
    }

    fn remove(user: &str, mechanism: i8) -> Alteration {
        Alteration::Remove(user.into(), mechanism)
    }

    /// Alters the image, and gives the codes of what is refused.
    fn run(image: &mut Image, alterations: &[Alteration]) -> Vec<(String, Option<ErrorCode>)> {
        let Decision { records, outcome } = alter(image, alterations).unwrap();
        apply(image, &records);
        let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
        let user_at = |at: usize| {
            let (Alteration::Remove(user, _) | Alteration::Set(user, _)) = &alterations[at];
            user.to_string()
        };
        outcome
            .into_iter()
            .map(|(at, result)| (user_at(at), code(result)))
            .collect()
    }

    fn all(image: &Image) -> Vec<(String, i8, i32)> {
        let credentials = image.scram_credentials();
        credentials
            .map(|(user, mechanism, iterations)| (user.to_owned(), mechanism, iterations))
            .collect()
    }

    #[test]
    fn credentials_are_set_replaced_and_taken_away() {
        let mut image = Image::new("c");
        let done = |user: &str| (user.to_owned(), None);
        let first = [set("bea", 1, 4096), set("ann", 2, 16384)];
        assert_eq!(run(&mut image, &first), [done("ann"), done("bea")]);
        assert_eq!(run(&mut image, &[set("ann", 1, 8192)]), [done("ann")]);
        assert_eq!(run(&mut image, &[set("ann", 1, 5000)]), [done("ann")]);
        let held = [("ann", 1, 5000), ("ann", 2, 16384), ("bea", 1, 4096)];
        assert_eq!(
            all(&image),
            held.map(|(user, mechanism, times)| (user.to_owned(), mechanism, times))
        );
        let mut again = Image::new("c");
        apply(&mut again, &image.records());
        assert_eq!(again, image, "a snapshot holds them");
        let gone = [remove("ann", 2), set("bea", 2, 4096)];
        assert_eq!(run(&mut image, &gone), [done("ann"), done("bea")]);
        let held = [("ann", 1, 5000), ("bea", 1, 4096), ("bea", 2, 4096)];
        assert_eq!(
            all(&image),
            held.map(|(user, mechanism, times)| (user.to_owned(), mechanism, times))
        );
    }

    #[test]
    fn what_kafka_refuses_is_refused() {
        use ErrorCode as E;
        let mut image = Image::new("c");
        let mut refused = |alteration: Alteration| run(&mut image, &[alteration])[0].1;
        assert_eq!(refused(set("", 1, 4096)), Some(E::UnacceptableCredential));
        assert_eq!(refused(set("ann", 0, 1)), Some(E::UnsupportedSaslMechanism));
        assert_eq!(refused(remove("ann", 3)), Some(E::UnsupportedSaslMechanism));
        assert_eq!(
            refused(set("ann", 1, 4095)),
            Some(E::UnacceptableCredential)
        );
        assert_eq!(
            refused(set("ann", 2, 16385)),
            Some(E::UnacceptableCredential)
        );
        assert_eq!(refused(remove("ann", 1)), Some(E::ResourceNotFound));
        let empty = SaltedPassword {
            salted_password: b"",
            ..SALTED
        };
        let empty = Alteration::Set("ann".into(), credential("ann", 1, &empty));
        assert_eq!(refused(empty), Some(E::UnknownServerError));
        assert_eq!(refused(set("ann", 1, 4096)), None);
        let twice = [
            remove("ann", 1),
            remove("ghost", 1),
            set("ann", 1, 4096),
            set("ghost", 2, 4096),
            set("bea", 1, 4096),
        ];
        assert_eq!(
            run(&mut image, &twice),
            [
                ("ann".to_owned(), Some(E::DuplicateResource)),
                ("bea".to_owned(), None),
                ("ghost".to_owned(), Some(E::ResourceNotFound)),
            ]
        );
        assert_eq!(all(&image).len(), 2, "ann's is as it was");
    }
}
