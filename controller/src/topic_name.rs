//! Which topic names are allowed, which are the system's own, and which two would collide in
//! metric names.

/// The topic that holds committed offsets and group state.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic that holds transaction state.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// The topic that holds the state of share groups.
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The log of cluster metadata; no client may create it.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// The longest name allowed, so that `<name>-<partition>-delete` fits a file name.
pub const LENGTH_MAX: usize = 249;

/// `Err` with Kafka's text if the name is not allowed.
pub fn validate(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".into()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > LENGTH_MAX {
        format!("the length of '{name}' is longer than the max allowed length {LENGTH_MAX}")
    } else if !name.bytes().all(is_legal) {
        format!(
            "'{name}' contains one or more characters other than \
             ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// True for the topics that clients see as internal.
pub fn is_internal(name: &str) -> bool {
    [CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&name)
}

/// The name with `.` and `_` made one, or `None` if it has neither: two topics with the same
/// result would share their metric names.
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "A-1._", &"x".repeat(LENGTH_MAX)] {
            assert_eq!(validate(name), Ok(()));
        }
        for name in [
            "",
            ".",
            "..",
            "a b",
            "ä",
            "a/b",
            &"x".repeat(LENGTH_MAX + 1),
        ] {
            assert!(
                validate(name)
                    .unwrap_err()
                    .starts_with("Topic name is invalid: ")
            );
        }
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_eq!(collision_key("ab"), None);
        assert!(is_internal(CONSUMER_OFFSETS) && !is_internal(CLUSTER_METADATA));
    }
}
