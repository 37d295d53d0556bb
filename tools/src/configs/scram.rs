//! SCRAM credentials of users: made of passwords here, so that no password goes to the cluster.

use std::collections::BTreeMap;
use std::io::Write;

use controller::scram_formatter::ScramMechanism;
use protocol::error::ErrorCode;
use protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResult, UserName,
};
use serde_json::{Value, json};

use crate::client::{Client, Error};
use crate::failure::Failure;

const ITERATIONS_MIN: i32 = 4096;
/// 130 bits in letters that everything takes.
const SALT_LETTERS: usize = 26;
const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Sets and removes credentials of one user, by mechanism.
pub fn alter(
    client: &mut Client,
    user: &str,
    additions: &BTreeMap<String, String>,
    deletions: &[String],
) -> Result<(), Failure> {
    let deletions = deletions.iter().filter_map(|name| {
        Some(ScramCredentialDeletion {
            name: user.into(),
            mechanism: ScramMechanism::from_name(name)? as i8,
        })
    });
    let upsertions = additions.iter().filter_map(|(name, value)| {
        let mechanism = ScramMechanism::from_name(name)?;
        Some(upsertion(user, mechanism, value))
    });
    let request = AlterUserScramCredentialsRequest {
        deletions: deletions.collect(),
        upsertions: upsertions.collect::<Result<_, Failure>>()?,
    };
    client.change(|client| {
        let results = client.ask_controller(&request)?.results.into_iter();
        let decided = results.map(|result| (result.error_code, result.error_message));
        Ok(decided.collect())
    })?;
    Ok(())
}

fn upsertion<'a>(
    user: &'a str,
    mechanism: ScramMechanism,
    value: &str,
) -> Result<ScramCredentialUpsertion<'a>, Failure> {
    let (iterations, password) = parse(mechanism, value)?;
    if user.is_empty() {
        return Err(unacceptable("Username must not be empty"));
    }
    if password.is_empty() {
        return Err(unacceptable("Password must not be empty"));
    }
    let salt = salt()?;
    let salted = mechanism.salted_password(password.as_bytes(), &salt, iterations.unsigned_abs());
    Ok(ScramCredentialUpsertion {
        name: user.into(),
        mechanism: mechanism as i8,
        iterations,
        salt: salt.into(),
        salted_password: salted.into(),
    })
}

/// As Kafka's client says it before it asks.
fn unacceptable(text: &str) -> Failure {
    Failure::Client(Error::Refused {
        code: ErrorCode::UnacceptableCredential.code(),
        message: Some(text.to_owned()),
    })
}

/// `[iterations=<n>,]password=<password>`; without iterations, and with -1, the fewest allowed.
fn parse(mechanism: ScramMechanism, value: &str) -> Result<(i32, &str), Failure> {
    let name = mechanism.name();
    let invalid = || {
        // By the name of Java's constant.
        let constant = name.replace('-', "_");
        Failure::usage(format!("Invalid credential property {constant}={value}"))
    };
    let (iterations, password) = match value.strip_prefix("iterations=") {
        Some(rest) => rest.split_once(',').ok_or_else(invalid)?,
        None => ("-1", value),
    };
    let password = password.strip_prefix("password=").ok_or_else(invalid)?;
    let digits = iterations.strip_prefix('-').unwrap_or(iterations);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let number = iterations
        .parse::<i32>()
        .map_err(|_| Failure::usage(format!("For input string: \"{iterations}\"")))?;
    let number = match number {
        -1 => ITERATIONS_MIN,
        number => number,
    };
    match number < ITERATIONS_MIN {
        true => Err(Failure::usage(format!(
            "Iterations {number} is less than the minimum {ITERATIONS_MIN} required for {name}"
        ))),
        false => Ok((number, password)),
    }
}

fn salt() -> Result<Vec<u8>, Failure> {
    let mut salt = vec![0; SALT_LETTERS];
    getrandom::fill(&mut salt).map_err(|error| Failure::said(error.to_string()))?;
    for byte in &mut salt {
        *byte = LETTERS[usize::from(*byte) % LETTERS.len()];
    }
    Ok(salt)
}

/// Prints which credentials one user has, or all have.
pub fn describe(
    client: &mut Client,
    user: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for found in credentials(client, user)? {
        let infos = found.credential_infos.iter();
        let infos: Vec<String> = infos
            .map(|info| format!("{}=iterations={}", name(info.mechanism), info.iterations))
            .collect();
        writeln!(
            out,
            "SCRAM credential configs for user-principal '{}' are {}",
            found.user,
            infos.join(", ")
        )?;
    }
    Ok(())
}

/// The same as JSON, one value a user.
pub fn described(client: &mut Client, user: Option<&str>) -> Result<Vec<Value>, Failure> {
    let found = credentials(client, user)?.into_iter();
    Ok(found
        .map(|found| {
            let infos = found.credential_infos.iter();
            let infos: BTreeMap<&str, Value> = infos
                .map(|info| (name(info.mechanism), json!({"iterations": info.iterations})))
                .collect();
            json!({"entity": {"user": found.user}, "scram": infos})
        })
        .collect())
}

fn credentials(
    client: &mut Client,
    user: Option<&str>,
) -> Result<Vec<DescribeUserScramCredentialsResult<'static>>, Failure> {
    let request = DescribeUserScramCredentialsRequest {
        users: user.map(|name| vec![UserName { name: name.into() }]),
    };
    let answer = client.retried(|client| client.ask_any(&request))?;
    Error::check(answer.error_code, answer.error_message)?;
    // A user with an error has none.
    let found = answer.results.into_iter();
    Ok(found.filter(|result| result.error_code == 0).collect())
}

fn name(mechanism: i8) -> &'static str {
    ScramMechanism::from_wire(mechanism).map_or("UNKNOWN", ScramMechanism::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_read_as_kafka_reads_them() {
        let read = |value: &str| {
            parse(ScramMechanism::Sha256, value)
                .map(|(iterations, password)| (iterations, password.to_owned()))
                .map_err(|failure| failure.to_string())
        };
        let is = |iterations, password: &str| Ok((iterations, password.to_owned()));
        assert_eq!(read("password=a=b,c"), is(4096, "a=b,c"));
        assert_eq!(read("iterations=-1,password="), is(4096, ""));
        assert_eq!(read("iterations=8192,password=x"), is(8192, "x"));
        for (value, text) in [
            ("x", "Invalid credential property SCRAM_SHA_256=x"),
            (
                "iterations=8192",
                "Invalid credential property SCRAM_SHA_256=iterations=8192",
            ),
            (
                "iterations=few,password=x",
                "Invalid credential property SCRAM_SHA_256=iterations=few,password=x",
            ),
            ("iterations=,password=x", "For input string: \"\""),
            (
                "iterations=9999999999,password=x",
                "For input string: \"9999999999\"",
            ),
            (
                "iterations=1,password=x",
                "Iterations 1 is less than the minimum 4096 required for SCRAM-SHA-256",
            ),
        ] {
            assert_eq!(read(value), Err(text.to_owned()));
        }
    }
}
