//! What this node does not act on, and keeps: ACLs, quotas, SCRAM credentials, delegation tokens.
//!
//! Held as the records that set them, each under the key by which a later record replaces or
//! removes it; so a snapshot writes them back as they were.

use std::collections::BTreeMap;

use protocol::ids::Uuid;

use crate::record::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, Record,
    UserScramCredentialRecord,
};

/// Whom a quota is for (types and names, the default being no name), and which one it is.
type QuotaKey = (Vec<(String, Option<String>)>, String);

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    quotas: BTreeMap<QuotaKey, ClientQuotaRecord<'static>>,
    acls: BTreeMap<Uuid, AccessControlEntryRecord<'static>>,
    scram: BTreeMap<(String, i8), UserScramCredentialRecord<'static>>,
    tokens: BTreeMap<String, DelegationTokenRecord<'static>>,
}

impl Kept {
    /// Takes over a record if it is of a kind that is kept here; what a removal does not find was
    /// gone before.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::ClientQuota(record) if record.remove => {
                self.quotas.remove(&quota_key(record));
            }
            Record::ClientQuota(record) => {
                self.quotas.insert(quota_key(record), record.clone());
            }
            Record::AccessControlEntry(record) => {
                self.acls.insert(record.id, record.clone());
            }
            Record::RemoveAccessControlEntry(record) => {
                self.acls.remove(&record.id);
            }
            Record::UserScramCredential(record) => {
                let key = (record.name.to_string(), record.mechanism);
                self.scram.insert(key, record.clone());
            }
            Record::RemoveUserScramCredential(record) => {
                self.scram
                    .remove(&(record.name.to_string(), record.mechanism));
            }
            Record::DelegationToken(record) => {
                self.tokens
                    .insert(record.token_id.to_string(), record.clone());
            }
            Record::RemoveDelegationToken(record) => {
                self.tokens.remove(&*record.token_id);
            }
            _ => {}
        }
    }

    /// All quotas, those of one entity together: whom they are for, the key, the value.
    pub(super) fn quota_values(
        &self,
    ) -> impl Iterator<Item = (&[(String, Option<String>)], &str, f64)> {
        let quotas = self.quotas.iter();
        quotas.map(|((entity, key), record)| (&**entity, &**key, record.value))
    }

    /// The quotas of one entity, which is sorted by type.
    pub(super) fn quotas_of(
        &self,
        entity: &[(String, Option<String>)],
    ) -> impl Iterator<Item = (&str, f64)> {
        let first = (entity.to_vec(), String::new());
        let from_first = self.quotas.range(first..);
        let own = from_first.take_while(move |((other, _), _)| *other == entity);
        own.map(|((_, key), record)| (&**key, record.value))
    }

    /// All SCRAM credentials: user, mechanism, iterations.
    pub(super) fn scram(&self) -> impl Iterator<Item = (&str, i8, i32)> {
        let credentials = self.scram.iter();
        credentials.map(|((user, mechanism), record)| (&**user, *mechanism, record.iterations))
    }

    /// The SCRAM credentials of one user: mechanism, iterations.
    pub(super) fn scram_of(&self, user: &str) -> impl Iterator<Item = (i8, i32)> {
        let all = (user.to_owned(), i8::MIN)..=(user.to_owned(), i8::MAX);
        let credentials = self.scram.range(all);
        credentials.map(|((_, mechanism), record)| (*mechanism, record.iterations))
    }

    /// The records of quotas.
    pub(super) fn quotas(&self) -> impl Iterator<Item = Record> {
        self.quotas.values().cloned().map(Record::ClientQuota)
    }

    /// The records of what has to do with security.
    pub(super) fn security(&self) -> impl Iterator<Item = Record> {
        let acls = self.acls.values().cloned().map(Record::AccessControlEntry);
        let scram = self.scram.values().cloned();
        let tokens = self.tokens.values().cloned();
        acls.chain(scram.map(Record::UserScramCredential))
            .chain(tokens.map(Record::DelegationToken))
    }
}

fn quota_key(record: &ClientQuotaRecord<'_>) -> QuotaKey {
    let mut entity: Vec<_> = record
        .entity
        .iter()
        .map(|part| {
            let name = part.entity_name.as_deref().map(str::to_owned);
            (part.entity_type.to_string(), name)
        })
        .collect();
    entity.sort();
    (entity, record.key.to_string())
}
