//! ListGroups and DescribeGroups.

use std::borrow::Cow;

use protocol::error::ErrorCode;
use protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use protocol::messages::list_groups::ListedGroup;

use super::Groups;
use super::request::ListFilter;
use super::state::State;
use crate::page::{Page, page_of};

/// The type of all groups of this protocol (KIP-848).
const CLASSIC: &str = "classic";
/// "The client did not ask for what it may do."
const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

impl Groups {
    /// The groups after an id that pass the filter, as far as one page goes.
    pub(super) fn list(
        &self,
        filter: &ListFilter,
        after: Option<&str>,
    ) -> Page<ListedGroup<'static>> {
        let wanted = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let of_type = wanted(&filter.types, CLASSIC);
        page_of(&self.groups, after, |id, group| {
            let state = group.state();
            let passes = of_type && state != State::Dead && wanted(&filter.states, state.name());
            passes.then(|| ListedGroup {
                group_id: Cow::Owned(id.to_owned()),
                protocol_type: group.protocol_type.clone().unwrap_or_default().into(),
                group_state: Cow::Borrowed(state.name()),
                group_type: Cow::Borrowed(CLASSIC),
            })
        })
    }

    /// A group and its members. What they know of the protocol and what they were given is told
    /// only of a stable group.
    pub(super) fn describe(&self, id: &str) -> DescribedGroup<'static> {
        let mut described = DescribedGroup {
            error_code: ErrorCode::None.code(),
            group_id: Cow::Owned(id.to_owned()),
            group_state: Cow::Borrowed(State::Dead.name()),
            authorized_operations: OPERATIONS_NOT_ASKED,
            ..Default::default()
        };
        let Some(group) = self.groups.get(id) else {
            return described;
        };
        let protocol = match group.state() {
            State::Stable => group.protocol.as_deref(),
            _ => None,
        };
        described.group_state = Cow::Borrowed(group.state().name());
        described.protocol_type = group.protocol_type.clone().unwrap_or_default().into();
        described.protocol_data = protocol.unwrap_or_default().to_owned().into();
        let members = group.members().map(|(id, member)| DescribedGroupMember {
            member_id: Cow::Owned(id.to_string()),
            group_instance_id: member.instance.clone().map(Cow::Owned),
            client_id: Cow::Owned(member.client_id.clone()),
            client_host: Cow::Owned(member.client_host.clone()),
            member_metadata: protocol
                .map_or(Vec::new(), |protocol| member.metadata(protocol).to_vec())
                .into(),
            member_assignment: protocol
                .map_or(Vec::new(), |_| member.assignment.clone())
                .into(),
        });
        described.members = members.collect();
        described
    }
}
