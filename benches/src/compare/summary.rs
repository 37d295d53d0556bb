//! Figures of several runs: median and spread by scenario, metric and side.

use std::fmt;

use serde::Serialize;

use crate::options::{Scenario, Side};

/// What one run of one side has given.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The side's name.
    pub side: &'static str,
    /// Which run, from 0.
    pub run: usize,
    /// What was measured, with its unit, and the figure.
    pub figures: Vec<(&'static str, f64)>,
}

/// All samples.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Samples(Vec<Sample>);

/// Median and spread of a metric on one side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// One line of the tables.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What was measured, with its unit.
    pub metric: &'static str,
    /// chiplog's.
    pub chiplog: Option<Spread>,
    /// Kafka's.
    pub kafka: Option<Spread>,
    /// The bare loop's.
    pub floor: Option<Spread>,
    /// Kafka's median in terms of chiplog's.
    pub kafka_over_chiplog: Option<f64>,
    /// chiplog's median in terms of the bare loop's.
    pub chiplog_over_floor: Option<f64>,
}

impl Samples {
    /// Adds what a run has given.
    pub fn add(
        &mut self,
        scenario: Scenario,
        side: Side,
        run: usize,
        figures: Vec<(&'static str, f64)>,
    ) {
        let (scenario, side) = (scenario.name(), side.name());
        self.0.push(Sample {
            scenario,
            side,
            run,
            figures,
        });
    }

    /// One line for each scenario and metric, in the order in which they came.
    pub fn lines(&self) -> Vec<Line> {
        let mut names: Vec<(&'static str, &'static str)> = Vec::new();
        for sample in &self.0 {
            for (metric, _) in &sample.figures {
                if !names.contains(&(sample.scenario, metric)) {
                    names.push((sample.scenario, metric));
                }
            }
        }
        names.sort_by_key(|(scenario, _)| {
            Scenario::ALL
                .iter()
                .position(|known| known.name() == *scenario)
        });
        names
            .into_iter()
            .map(|(scenario, metric)| self.line(scenario, metric))
            .collect()
    }

    fn line(&self, scenario: &'static str, metric: &'static str) -> Line {
        let spread = |side: Side| {
            let samples = self.0.iter();
            let samples =
                samples.filter(|sample| sample.scenario == scenario && sample.side == side.name());
            let figures = samples.flat_map(|sample| &sample.figures);
            let values = figures
                .filter(|(name, _)| *name == metric)
                .map(|(_, value)| *value);
            Spread::of(values.collect())
        };
        let (chiplog, kafka) = (spread(Side::Chiplog), spread(Side::Kafka));
        let floor = spread(Side::Floor);
        let ratio = |above: Option<Spread>, below: Option<Spread>| {
            Some(above?.median / below?.median).filter(|ratio| ratio.is_finite())
        };
        Line {
            scenario,
            metric,
            chiplog,
            kafka,
            floor,
            kafka_over_chiplog: ratio(kafka, chiplog),
            chiplog_over_floor: ratio(chiplog, floor),
        }
    }
}

impl Spread {
    /// Of any number of values but none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[half - 1] + values[half]) / 2.0,
            _ => values[half],
        };
        Some(Spread { median, min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median, self.min, self.max].map(short);
        write!(f, "{median} ({min} to {max})")
    }
}

/// Three digits that count, or all before the point if there are more.
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.01 => 5,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.digits$}");
    if value.abs() < 1e4 {
        return plain;
    }
    let mut grouped = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let mut samples = Samples::default();
        for (run, value) in [4.0, 1.0, 2.0].into_iter().enumerate() {
            samples.add(Scenario::Small, Side::Chiplog, run, vec![("x", value)]);
            samples.add(Scenario::Small, Side::Kafka, run, vec![("x", value * 10.0)]);
        }
        let lines = samples.lines();
        assert_eq!(
            lines[0].chiplog,
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 4.0
            })
        );
        assert_eq!(
            (lines[0].kafka_over_chiplog, lines[0].floor),
            (Some(10.0), None)
        );
        assert_eq!(
            Spread::of(vec![1.0, 2.0]).map(|spread| spread.median),
            Some(1.5)
        );
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.1234, 1.2345, 45.67, 123.4, 1234567.0].map(short);
        assert_eq!(all, ["0", "0.123", "1.23", "45.7", "123", "1,234,567"]);
    }
}
