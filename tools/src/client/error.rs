//! What can go wrong between a tool and the cluster, and what of it passes by itself.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use protocol::api::ApiKey;
use protocol::error::ErrorCode;
use protocol::wire::{DecodeError, EncodeError};

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings do not make a client.
    #[error("{0}")]
    Settings(String),
    /// The broker cannot be reached, or the connection ended.
    #[error("Connection to {address} could not be used: {source}")]
    Connection {
        /// `host:port`.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker refused; the text is its own if it sent one.
    #[error("{}", message_of(*code, message.as_deref()))]
    Refused {
        /// Kafka's error code.
        code: i16,
        /// What the broker said beside it.
        message: Option<String>,
    },
    /// The broker is too old or too new for what is asked.
    #[error("The broker {address} does not support {} in a version between {oldest} and {newest}", key.name())]
    Unsupported {
        /// `host:port`.
        address: String,
        /// Which API.
        key: ApiKey,
        /// The oldest version that would do.
        oldest: i16,
        /// The newest version that this client knows.
        newest: i16,
    },
    /// The answer cannot be read.
    #[error("the answer of {address} to {} cannot be read: {source}", key.name())]
    Decode {
        /// `host:port`.
        address: String,
        /// Which API.
        key: ApiKey,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The request cannot be said in the version agreed on.
    #[error("{} cannot be asked of this broker: {source}", key.name())]
    Encode {
        /// Which API.
        key: ApiKey,
        /// What is wrong with it.
        source: EncodeError,
    },
    /// The metadata name no broker of this id.
    #[error("There is no broker with id {0}")]
    NoSuchBroker(i32),
    /// The metadata name no controller.
    #[error("The cluster has no controller at the moment")]
    NoController,
    /// Nothing but passing errors until the time was over.
    #[error("Timed out after {} ms. The last error: {last}", after.as_millis())]
    TimedOut {
        /// `default.api.timeout.ms`.
        after: Duration,
        /// The last of the passing errors.
        last: Box<Error>,
    },
}

impl Error {
    /// An error of this code.
    pub fn of(code: ErrorCode) -> Error {
        Error::Refused {
            code: code.code(),
            message: None,
        }
    }

    /// An error unless the code is 0.
    pub fn check(code: i16, message: Option<Cow<'_, str>>) -> Result<(), Error> {
        match code {
            0 => Ok(()),
            code => Err(Error::Refused {
                code,
                message: message.map(Cow::into_owned),
            }),
        }
    }

    /// The same for one of several things in an answer: outside is what is worth asking the whole
    /// again, because another broker is in charge; inside, what was decided.
    pub fn settled(code: i16, message: Option<Cow<'_, str>>) -> Result<Result<(), Error>, Error> {
        match Error::check(code, message) {
            Err(error) if error.is_about_who_is_in_charge() => Err(error),
            decided => Ok(decided),
        }
    }

    /// Kafka's error code, if the broker refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Refused { code, .. } => ErrorCode::from_code(*code),
            Error::TimedOut { last, .. } => last.code(),
            _ => None,
        }
    }

    /// Whether it is about the connection, which must not be used again.
    pub fn is_of_connection(&self) -> bool {
        matches!(self, Error::Connection { .. } | Error::Decode { .. })
    }

    /// Whether the same may go well a little later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Connection { .. } | Error::NoController | Error::NoSuchBroker(_) => true,
            Error::Refused { code, .. } => {
                ErrorCode::from_code(*code).is_some_and(passes_by_itself)
            }
            _ => false,
        }
    }

    fn is_about_who_is_in_charge(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::NotController
                    | ErrorCode::NotCoordinator
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::CoordinatorLoadInProgress
            )
        )
    }

    /// The class that Kafka's Java client throws for it, as its tools print before the message.
    pub fn java_class(&self) -> String {
        let name = match self.code() {
            Some(code) => java_name(code),
            None => match self {
                Error::TimedOut { .. } => "Timeout".to_owned(),
                Error::Unsupported { .. } | Error::Encode { .. } => "UnsupportedVersion".to_owned(),
                Error::Connection { .. } => "Disconnect".to_owned(),
                _ => return "org.apache.kafka.common.KafkaException".to_owned(),
            },
        };
        format!("org.apache.kafka.common.errors.{name}Exception")
    }
}

fn message_of(code: i16, message: Option<&str>) -> String {
    match (message, ErrorCode::from_code(code)) {
        (Some(said), _) if !said.is_empty() => said.to_owned(),
        (_, Some(known)) => {
            let text = known.message();
            let mut letters = text.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).chain(['.']).collect()
        }
        (_, None) => format!("The broker answered with the unknown error code {code}."),
    }
}

/// `UNKNOWN_TOPIC_OR_PARTITION` is thrown as `UnknownTopicOrPartitionException`; some have a name
/// of their own.
fn java_name(code: ErrorCode) -> String {
    match code {
        ErrorCode::RequestTimedOut => return "Timeout".to_owned(),
        ErrorCode::TopicAlreadyExists => return "TopicExists".to_owned(),
        ErrorCode::InvalidConfig => return "InvalidConfiguration".to_owned(),
        ErrorCode::NonEmptyGroup => return "GroupNotEmpty".to_owned(),
        ErrorCode::CorruptMessage => return "CorruptRecord".to_owned(),
        ErrorCode::MessageTooLarge => return "RecordTooLarge".to_owned(),
        ErrorCode::RecordListTooLarge => return "RecordBatchTooLarge".to_owned(),
        ErrorCode::KafkaStorageError => return "KafkaStorage".to_owned(),
        _ => {}
    }
    let words = code.name().split('_').filter(|word| *word != "EXCEPTION");
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{first}{}", rest.to_ascii_lowercase())
        })
        .collect()
}

/// Kafka's retriable errors.
fn passes_by_itself(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::CorruptMessage
            | E::UnknownTopicOrPartition
            | E::LeaderNotAvailable
            | E::NotLeaderOrFollower
            | E::RequestTimedOut
            | E::ReplicaNotAvailable
            | E::NetworkException
            | E::CoordinatorLoadInProgress
            | E::CoordinatorNotAvailable
            | E::NotCoordinator
            | E::NotEnoughReplicas
            | E::NotEnoughReplicasAfterAppend
            | E::NotController
            | E::KafkaStorageError
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::OffsetNotAvailable
            | E::UnstableOffsetCommit
            | E::ConcurrentTransactions
            | E::UnknownTopicId
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_as_kafkas() {
        let class = |code| Error::of(code).java_class();
        let start = "org.apache.kafka.common.errors.";
        for (code, name) in [
            (
                ErrorCode::UnknownTopicOrPartition,
                "UnknownTopicOrPartition",
            ),
            (ErrorCode::InvalidTopicException, "InvalidTopic"),
            (ErrorCode::OffsetOutOfRange, "OffsetOutOfRange"),
            (ErrorCode::TopicAlreadyExists, "TopicExists"),
        ] {
            assert_eq!(class(code), format!("{start}{name}Exception"));
        }
    }

    #[test]
    fn a_brokers_own_words_come_first() {
        let said = Error::check(3, Some("no such thing".into())).unwrap_err();
        assert_eq!(said.to_string(), "no such thing");
        let silent = Error::check(3, None).unwrap_err().to_string();
        assert!(
            silent.starts_with(|first: char| first.is_uppercase()),
            "{silent}"
        );
        assert!(Error::check(0, None).is_ok());
    }
}
