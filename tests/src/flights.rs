//! The real data set: every flight that left New York in 2013, as JSON keyed by carrier.

use std::fs;

use crate::place::target_directory;

/// How many flights there are.
pub const COUNT: usize = 336_776;

/// All flights, in the order of the data set.
#[derive(Debug)]
pub struct Flights {
    text: String,
}

impl Flights {
    /// Reads what `cargo xtask data` prepared.
    pub fn read() -> Flights {
        let path = target_directory().join("data/flights.tsv");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}: cargo xtask data", path.display()));
        let flights = Flights { text };
        assert_eq!(flights.iter().count(), COUNT, "the data set is whole");
        flights
    }

    /// Each flight as (carrier, JSON).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text
            .lines()
            .map(|line| line.split_once('\t').expect("a line is key, tab, value"))
    }
}
