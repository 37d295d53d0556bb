//! AlterUserScramCredentials: users' SCRAM credentials are set and taken away (KIP-554).
//!
//! It only keeps them. Each user has one result, and is altered once a request or not at all. The
//! texts of refusals are Kafka's.

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
    Remove(String, i8),
    /// It is set, whatever was there before, unless what was given makes none.
    Set(String, Result<UserScramCredentialRecord<'static>, Refusal>),
}

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

/// The credential that is kept of a password. This is the work of a request, a few microseconds
/// each, and takes no image: done before [`alter`], it keeps the metadata log waiting for nothing.
pub fn credential(
    user: &str,
    mechanism: i8,
    password: &SaltedPassword<'_>,
) -> Result<UserScramCredentialRecord<'static>, Refusal> {
    let unacceptable = |text: &str| Err(Refusal::new(ErrorCode::UnacceptableCredential, text));
    let known = check_name(user, mechanism)?;
    if password.iterations < ITERATIONS_MIN {
        return unacceptable("Too few iterations");
    }
    if password.iterations > ITERATIONS_MAX {
        return unacceptable("Too many iterations");
    }
    if password.salted_password.is_empty() {
        // Java has no empty keys; Kafka does not tell more of it.
        return Err(Refusal::silent(ErrorCode::UnknownServerError));
    }
    let keys = known.keys(password.salted_password);
    Ok(UserScramCredentialRecord {
        name: user.to_owned().into(),
        mechanism,
        salt: password.salt.to_owned().into(),
        stored_key: keys.stored_key.into(),
        server_key: keys.server_key.into(),
        iterations: password.iterations,
    })
}

fn check_name(user: &str, mechanism: i8) -> Result<ScramMechanism, Refusal> {
    if user.is_empty() {
        let text = "Username must not be empty";
        return Err(Refusal::new(ErrorCode::UnacceptableCredential, text));
    }
    ScramMechanism::from_wire(mechanism).ok_or_else(|| {
        let text = "Unknown SCRAM mechanism";
        Refusal::new(ErrorCode::UnsupportedSaslMechanism, text)
    })
}

/// One result for every user, by name.
pub type Results = BTreeMap<String, Result<(), Refusal>>;

/// Decides on all alterations of one request, of which deletions come first. An `Err` refuses the
/// request whole.
pub fn alter(image: &Image, alterations: &[Alteration]) -> Result<Decision<Results>, Refusal> {
    let mut of_users: BTreeMap<&str, Result<Record, Refusal>> = BTreeMap::new();
    for alteration in alterations {
        let (Alteration::Remove(user, _) | Alteration::Set(user, _)) = alteration;
        let user = &**user;
        match of_users.get(user) {
            None => of_users.insert(user, alter_one(image, alteration)),
            Some(Ok(_)) => of_users.insert(user, Err(altered_twice())),
            // The first refusal stays.
            Some(Err(_)) => None,
        };
    }
    let mut records = Vec::new();
    let mut outcome = Results::new();
    let mut messages = Messages::default();
    for (user, result) in of_users {
        let result = messages.admit(result).map(|record| records.push(record));
        outcome.insert(user.to_owned(), result);
    }
    match records.len() > RECORDS_PER_REQUEST_MAX {
        true => Err(too_large()),
        false => Ok(Decision { records, outcome }),
    }
}

fn altered_twice() -> Refusal {
    let text = "A user credential cannot be altered twice in the same request";
    Refusal::new(ErrorCode::DuplicateResource, text)
}

fn alter_one(image: &Image, alteration: &Alteration) -> Result<Record, Refusal> {
    let (user, mechanism) = match alteration {
        Alteration::Set(_, credential) => {
            return credential.clone().map(Record::UserScramCredential);
        }
        Alteration::Remove(user, mechanism) => (user, *mechanism),
    };
    check_name(user, mechanism)?;
    let credentials = image.scram_credentials_of(user);
    if !credentials.iter().any(|(known, _)| *known == mechanism) {
        let text = "Attempt to delete a user credential that does not exist";
        return Err(Refusal::new(ErrorCode::ResourceNotFound, text));
    }
    Ok(Record::RemoveUserScramCredential(
        RemoveUserScramCredentialRecord {
            name: user.clone().into(),
            mechanism,
        },
    ))
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
        Alteration::Set(user.to_owned(), credential(user, mechanism, &password))
    }

    fn remove(user: &str, mechanism: i8) -> Alteration {
        Alteration::Remove(user.to_owned(), mechanism)
    }

    /// Alters the image, and gives the codes of what is refused.
    fn run(image: &mut Image, alterations: &[Alteration]) -> Vec<(String, Option<ErrorCode>)> {
        let Decision { records, outcome } = alter(image, alterations).unwrap();
        apply(image, &records);
        let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
        outcome
            .into_iter()
            .map(|(user, result)| (user, code(result)))
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
        let empty = Alteration::Set("ann".to_owned(), credential("ann", 1, &empty));
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
