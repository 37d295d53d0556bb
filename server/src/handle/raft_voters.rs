//! AddRaftVoter and RemoveRaftVoter (KIP-853): the quorum of this node has one voter and stays so. It
//! says what a quorum of Kafka says whose voters are in its settings, which is how it begins, and whose
//! controllers' listener is `controller.listener.names`, or else called `CONTROLLER`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::ids::Uuid;
use protocol::messages::add_raft_voter::{AddRaftVoterRequest, AddRaftVoterResponse, Listener};
use protocol::messages::remove_raft_voter::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

use crate::reply_queue::Outcome;
use crate::request::Request;
use crate::shard::Shard;

/// Answers an AddRaftVoter request.
pub async fn add_raft_voter(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(AddRaftVoterRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let change = Change {
        name: "Add",
        verb: "adding",
        cluster_id: body.cluster_id.as_deref(),
        voter_id: body.voter_id,
        directory_id: body.voter_directory_id,
        listeners: Some(&body.listeners),
    };
    let (error_code, text) = change.refusal(&shard);
    let response = AddRaftVoterResponse {
        error_code,
        error_message: Some(Cow::Owned(text)),
        ..Default::default()
    };
    request.reply(&response, AddRaftVoterResponse::encode)
}

/// Answers a RemoveRaftVoter request.
pub async fn remove_raft_voter(shard: Rc<Shard>, request: Request) -> Outcome {
    let body = match request.body(RemoveRaftVoterRequest::decode) {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let change = Change {
        name: "Remove",
        verb: "removing",
        cluster_id: body.cluster_id.as_deref(),
        voter_id: body.voter_id,
        directory_id: body.voter_directory_id,
        listeners: None,
    };
    let (error_code, text) = change.refusal(&shard);
    let response = RemoveRaftVoterResponse {
        error_code,
        error_message: Some(Cow::Owned(text)),
        ..Default::default()
    };
    request.reply(&response, RemoveRaftVoterResponse::encode)
}

/// What is asked for.
struct Change<'a> {
    name: &'static str,
    verb: &'static str,
    cluster_id: Option<&'a str>,
    voter_id: i32,
    directory_id: Uuid,
    /// Where a new voter can be reached.
    listeners: Option<&'a [Listener<'a>]>,
}

impl Change<'_> {
    fn refusal(&self, shard: &Shard) -> (i16, String) {
        let image = shard.image();
        let ours = image.cluster_id();
        if let Some(given) = self.cluster_id.filter(|given| *given != ours) {
            let code = ErrorCode::InconsistentClusterId.code();
            return (
                code,
                format!("The given id \"{given}\" doesn't match the cluster id \"{ours}\""),
            );
        }
        if self.voter_id < 0 || self.directory_id == Uuid::ZERO {
            let name = self.name;
            let text = format!("{name} voter request didn't include a valid voter");
            return (ErrorCode::InvalidRequest.code(), text);
        }
        let ours = controller_listener(shard);
        if let Some(endpoints) = self.listeners.map(endpoints)
            && !endpoints.iter().any(|(name, _)| *name == ours)
        {
            let endpoints = endpoints
                .iter()
                .map(|(name, address)| format!("ListenerName({name})={address}"));
            let endpoints: Vec<String> = endpoints.collect();
            let text = format!(
                "Add voter request didn't include the endpoint (Endpoints(endpoints={{{}}})) for the \
                 default listener ListenerName({ours})",
                endpoints.join(", ")
            );
            return (ErrorCode::InvalidRequest.code(), text);
        }
        let verb = self.verb;
        let text =
            format!("Cluster doesn't support {verb} voter because the kraft.version feature is 0");
        (ErrorCode::UnsupportedVersion.code(), text)
    }
}

/// The listeners' names, as Kafka writes them, each with the address given last.
fn endpoints(listeners: &[Listener<'_>]) -> BTreeMap<String, String> {
    let endpoint = |of: &Listener<'_>| {
        let address = format!("{}/<unresolved>:{}", of.host, of.port);
        (of.name.to_uppercase(), address)
    };
    listeners.iter().map(endpoint).collect()
}

/// The listener's name on which controllers reach each other.
fn controller_listener(shard: &Shard) -> String {
    let names = shard.config.values.text("controller.listener.names");
    let first = names.as_deref().and_then(|names| names.split(',').next());
    let first = first.map(str::trim).filter(|name| !name.is_empty());
    first.unwrap_or("CONTROLLER").to_uppercase()
}
