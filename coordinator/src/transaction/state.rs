//! The states of a transactional id, and which may follow which.
//!
//! The states and their numbers are Kafka's. Invariant: nothing but [`State::may_follow`] says
//! what is legal.

/// Where a transactional id stands in the life of its transactions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i8)]
pub enum State {
    /// It has a producer id, and that producer has no transaction.
    Empty = 0,
    /// A transaction has partitions, and is neither committed nor aborted.
    Ongoing = 1,
    /// The transaction will be committed: that is decided, its markers are on their way.
    PrepareCommit = 2,
    /// The transaction will be aborted: that is decided, its markers are on their way.
    PrepareAbort = 3,
    /// Every partition has its marker.
    CompleteCommit = 4,
    /// Every partition has its marker.
    CompleteAbort = 5,
    /// The id is being forgotten. Never in a log.
    Dead = 6,
    /// The producer is being fenced, which ends in an abort. Never in a log.
    PrepareEpochFence = 7,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 8] = [
        State::Empty,
        State::Ongoing,
        State::PrepareCommit,
        State::PrepareAbort,
        State::CompleteCommit,
        State::CompleteAbort,
        State::Dead,
        State::PrepareEpochFence,
    ];

    /// The state with this number, if there is one.
    #[must_use]
    pub fn of_id(id: i8) -> Option<State> {
        usize::try_from(id)
            .ok()
            .and_then(|at| State::ALL.get(at))
            .copied()
    }

    /// The number in records.
    #[must_use]
    pub fn id(self) -> i8 {
        self as i8
    }

    /// The name that tools are told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
            State::Dead => "Dead",
            State::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of this name, if there is one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether this state may come right after `before`.
    #[must_use]
    pub fn may_follow(self, before: State) -> bool {
        use State::{
            CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit,
            PrepareEpochFence,
        };
        match self {
            Empty | Dead => matches!(before, Empty | CompleteCommit | CompleteAbort),
            Ongoing => matches!(before, Ongoing | Empty | CompleteCommit | CompleteAbort),
            PrepareCommit | PrepareEpochFence => before == Ongoing,
            PrepareAbort => matches!(before, Ongoing | PrepareEpochFence),
            CompleteCommit => before == PrepareCommit,
            CompleteAbort => before == PrepareAbort,
        }
    }

    /// Whether an id in this state is forgotten if it is not used for long.
    #[must_use]
    pub fn may_expire(self) -> bool {
        State::Dead.may_follow(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legal_moves_are_these_and_no_others() {
        // Rows: from; columns: to; both in the order of the numbers.
        let legal = [
            "EO----D-", // Empty
            "-OCA---F", // Ongoing
            "----c---", // PrepareCommit
            "-----a--", // PrepareAbort
            "EO----D-", // CompleteCommit
            "EO----D-", // CompleteAbort
            "--------", // Dead
            "---A----", // PrepareEpochFence
        ];
        for from in State::ALL {
            for to in State::ALL {
                let row = legal[from.id() as usize].as_bytes();
                let expected = row[to.id() as usize] != b'-';
                assert_eq!(to.may_follow(from), expected, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_decision_is_never_taken_back() {
        let ends_in = |decided: State, other: State| {
            let mut reached = vec![decided];
            let mut at = 0;
            while let Some(&from) = reached.get(at) {
                let next = State::ALL.into_iter().filter(|to| to.may_follow(from));
                let next = next.filter(|to| !matches!(to, State::Empty | State::Ongoing));
                let new: Vec<_> = next.filter(|to| !reached.contains(to)).collect();
                reached.extend(new);
                at += 1;
            }
            reached.contains(&other)
        };
        assert!(!ends_in(State::PrepareCommit, State::CompleteAbort));
        assert!(!ends_in(State::PrepareAbort, State::CompleteCommit));
    }

    #[test]
    fn states_are_known_by_number_and_name() {
        for state in State::ALL {
            assert_eq!(State::of_id(state.id()), Some(state));
            assert_eq!(State::of_name(state.name()), Some(state));
        }
        assert_eq!(State::of_id(8), None);
        assert_eq!(State::of_id(-1), None);
        assert_eq!(State::of_name("empty"), None);
    }
}
