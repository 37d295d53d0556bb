//! The states of a group and the moves between them.

/// Where a group is in its life. Names are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum State {
    /// No members; offsets perhaps.
    #[default]
    Empty,
    /// Members are to join for the next generation.
    PreparingRebalance,
    /// All have joined; the leader is to say who gets what.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// It is being deleted.
    Dead,
}

impl State {
    /// As clients are told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }

    /// Whether a group may go from here to `next`.
    #[must_use]
    pub const fn may_become(self, next: State) -> bool {
        use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        match next {
            Empty => matches!(self, PreparingRebalance | Dead),
            PreparingRebalance => matches!(self, Empty | CompletingRebalance | Stable),
            CompletingRebalance => matches!(self, PreparingRebalance),
            Stable => matches!(self, CompletingRebalance),
            Dead => matches!(self, Empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moves_are_these_and_no_others() {
        use State::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        let legal = [
            (Empty, PreparingRebalance),
            (PreparingRebalance, CompletingRebalance),
            (PreparingRebalance, Empty),
            (CompletingRebalance, Stable),
            (CompletingRebalance, PreparingRebalance),
            (Stable, PreparingRebalance),
            (Empty, Dead),
            (Dead, Empty), // Its deletion could not be written.
        ];
        let all = [Empty, PreparingRebalance, CompletingRebalance, Stable, Dead];
        for from in all {
            for to in all {
                assert_eq!(
                    from.may_become(to),
                    legal.contains(&(from, to)),
                    "{from:?} {to:?}"
                );
            }
        }
    }
}
