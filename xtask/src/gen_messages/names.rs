//! Names in Rust for what schemas name in Java's way.

use std::collections::BTreeMap;

use super::schema::{Kind, Message};

/// `LeaderAndIsr` as `leader_and_isr`, `DoorIDs` as `door_ids`.
pub fn snake(name: &str) -> String {
    // One word in Kafka's prose, if not in its capitals.
    let letters: Vec<char> = name.replace("KRaft", "Kraft").chars().collect();
    let mut out = String::new();
    for (at, &letter) in letters.iter().enumerate() {
        if letter.is_ascii_uppercase() {
            let after_lower = at > 0 && !letters[at - 1].is_ascii_uppercase();
            // The last capital of several begins a word, unless only a plural `s` follows.
            let begins_word = at > 0
                && letters.get(at + 1).is_some_and(char::is_ascii_lowercase)
                && !(letters[at + 1] == 's' && at + 2 == letters.len());
            if after_lower || begins_word {
                out.push('_');
            }
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The name of a field.
pub fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "type" | "match" | "struct" | "enum" | "ref" | "move" => format!("r#{name}"),
        _ => name,
    }
}

/// Gives structs that have the same name in two messages of one file a prefix that tells them
/// apart.
pub fn part_same_names(messages: &mut [Message]) {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for name in messages
        .iter()
        .flat_map(|message| &message.structs)
        .map(|s| &s.name)
    {
        *uses.entry(name.clone()).or_default() += 1;
    }
    for message in messages {
        let prefix = match message.kind {
            Kind::Request => "Request".to_owned(),
            Kind::Response => "Response".to_owned(),
            _ => message.name.clone(),
        };
        let shared: Vec<String> = message.structs[1..]
            .iter()
            .map(|s| s.name.clone())
            .filter(|name| uses[name] > 1)
            .collect();
        for name in shared {
            let parted = format!("{prefix}{name}");
            for s in &mut message.structs {
                if s.name == name {
                    s.name.clone_from(&parted);
                }
                for field in &mut s.fields {
                    field.ty.rename_struct(&name, &parted);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        let known = [
            ("LeaderAndIsr", "leader_and_isr"),
            ("TimeoutMs", "timeout_ms"),
            ("isKRaftController", "is_kraft_controller"),
            ("KRaftVersion", "kraft_version"),
            ("TopicID", "topic_id"),
            ("ZkMigrationReady", "zk_migration_ready"),
            ("DoorIDs", "door_ids"),
        ];
        for (java, rust) in known {
            assert_eq!(snake(java), rust);
        }
        assert_eq!(field("Type"), "r#type");
    }
}
