//! DescribeClientQuotas and AlterClientQuotas (KIP-546). Quotas are kept and told; nothing holds
//! clients to them yet.

use std::borrow::Cow;
use std::rc::Rc;

use controller::quotas::{Alteration, Component, Names, alter, describe};
use controller::topics::Mode;
use controller::{Messages, Refusal};
use protocol::error::ErrorCode;
use protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, RequestEntryData, ResponseEntityData,
    ResponseEntryData,
};
use protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
    EntryData, ValueData,
};

use super::refusal::{code_of, message_of};
use crate::metadata_log::Change;
use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::{METADATA_SHARD, Shard};

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// Answers a DescribeClientQuotas request.
pub async fn describe_client_quotas(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(DescribeClientQuotasRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let image = shard.image();
    let filter: Result<Vec<Component>, Refusal> = body.components.iter().map(component).collect();
    let response = match filter.and_then(|filter| describe(&image, &filter, body.strict)) {
        Err(refusal) => DescribeClientQuotasResponse {
            error_code: refusal.code.code(),
            error_message: refusal.message.map(Cow::Owned),
            entries: None,
            ..Default::default()
        },
        Ok(found) => {
            let entries = found.into_iter().map(|(entity, values)| EntryData {
                entity: entity
                    .iter()
                    .map(|(entity_type, name)| EntityData {
                        entity_type: Cow::Borrowed(entity_type),
                        entity_name: name.as_deref().map(Cow::Borrowed),
                    })
                    .collect(),
                values: values
                    .into_iter()
                    .map(|(key, value)| ValueData {
                        key: Cow::Borrowed(key),
                        value,
                    })
                    .collect(),
            });
            DescribeClientQuotasResponse {
                entries: Some(entries.collect()),
                ..Default::default()
            }
        }
    };
    request.reply(&response, DescribeClientQuotasResponse::encode)
}

fn component(given: &ComponentData<'_>) -> Result<Component, Refusal> {
    let invalid = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let name = given.r#match.as_deref().map(str::to_owned);
    let names = match (given.match_type, name) {
        (EXACT, None) => {
            let text = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
            return invalid(text.to_owned());
        }
        (EXACT, name) => Names::Exactly(name),
        (DEFAULT, None) => Names::Exactly(None),
        (SPECIFIED, None) => Names::Any,
        (DEFAULT | SPECIFIED, Some(_)) => {
            let kind = match given.match_type {
                DEFAULT => "DEFAULT",
                _ => "SPECIFIED",
            };
            return invalid(format!(
                "Request specified MATCH_TYPE_{kind}, but also specified a match string."
            ));
        }
        (other, _) => return invalid(format!("Unknown match type {other}")),
    };
    Ok(Component {
        entity_type: given.entity_type.to_string(),
        names,
    })
}

/// Answers an AlterClientQuotas request.
pub async fn alter_client_quotas(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AlterClientQuotasRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let mode = match body.validate_only {
        true => Mode::ValidateOnly,
        false => Mode::Commit,
    };
    let alterations: Vec<Alteration> = body.entries.iter().map(alteration).collect();
    let change = Change::new(move |image| alter(image, &alterations, mode));
    let results = match shard.ask(METADATA_SHARD, change).await {
        Ok(results) => results,
        Err(refusal) => {
            let mut messages = Messages::default();
            let entries = body.entries.iter().map(alteration);
            entries
                .map(|entry| (entry.entity, messages.admit(Err(refusal.clone()))))
                .collect()
        }
    };
    let entries = results
        .into_iter()
        .map(|(entity, result)| ResponseEntryData {
            error_code: code_of(&result),
            error_message: message_of(result),
            entity: entity
                .into_iter()
                .map(|(entity_type, name)| ResponseEntityData {
                    entity_type: Cow::Owned(entity_type),
                    entity_name: name.map(Cow::Owned),
                })
                .collect(),
        });
    let response = AlterClientQuotasResponse {
        entries: entries.collect(),
        ..Default::default()
    };
    request.reply(&response, AlterClientQuotasResponse::encode)
}

fn alteration(entry: &RequestEntryData<'_>) -> Alteration {
    let entity = entry.entity.iter().map(|part| {
        let name = part.entity_name.as_deref().map(str::to_owned);
        (part.entity_type.to_string(), name)
    });
    let ops = entry
        .ops
        .iter()
        .map(|op| (op.key.to_string(), (!op.remove).then_some(op.value)));
    Alteration {
        entity: entity.collect(),
        ops: ops.collect(),
    }
}
