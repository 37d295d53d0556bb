//! Latency histograms and what is printed of them.
//!
//! Values are nanoseconds, kept with three significant digits up to `LATENCY_NS_MAX`; what is
//! longer counts as that long.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::Nanos;

/// Ten minutes: no answer is waited for longer than that.
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// A histogram of latencies.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Latencies(histogram.expect("bounds of the histogram are constants that are known to hold"))
    }
}

impl Latencies {
    /// Counts one value.
    pub fn record(&mut self, latency: Nanos) {
        self.0.saturating_record(latency.0);
    }

    /// Counts the same value `count` times.
    pub fn record_many(&mut self, latency: Nanos, count: u64) {
        self.0.saturating_record_n(latency.0, count);
    }

    /// Adds what another thread has counted.
    pub fn merge(&mut self, other: &Latencies) {
        self.0
            .add(&other.0)
            .expect("all histograms have the same bounds");
    }

    /// The figures that are printed.
    pub fn summary(&self) -> Summary {
        let at = |quantile: f64| Nanos(self.0.value_at_quantile(quantile));
        Summary {
            count: self.0.len(),
            mean_ns: self.0.mean().round() as u64,
            min_ns: Nanos(self.0.min()),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            p99_99_ns: at(0.9999),
            max_ns: Nanos(self.0.max()),
        }
    }
}

/// Percentiles of a histogram, in nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many values were counted.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ns: u64,
    /// Smallest value.
    pub min_ns: Nanos,
    /// Median.
    pub p50_ns: Nanos,
    /// 90th percentile.
    pub p90_ns: Nanos,
    /// 95th percentile.
    pub p95_ns: Nanos,
    /// 99th percentile.
    pub p99_ns: Nanos,
    /// 99.9th percentile.
    pub p99_9_ns: Nanos,
    /// 99.99th percentile.
    pub p99_99_ns: Nanos,
    /// Largest value.
    pub max_ns: Nanos,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Nanos| value.0 as f64 / 1e6;
        write!(
            f,
            "p50 {:.3}  p90 {:.3}  p95 {:.3}  p99 {:.3}  p99.9 {:.3}  p99.99 {:.3}  max {:.3} ms",
            ms(self.p50_ns),
            ms(self.p90_ns),
            ms(self.p95_ns),
            ms(self.p99_ns),
            ms(self.p99_9_ns),
            ms(self.p99_99_ns),
            ms(self.max_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut latencies = Latencies::default();
        (1..=1000u64).for_each(|us| latencies.record(Nanos(us * 1000)));
        let mut twice = latencies.clone();
        twice.merge(&latencies);
        let summary = twice.summary();
        assert_eq!(summary.count, 2000);
        let within = |value: Nanos, expected: f64| (value.0 as f64 / expected - 1.0).abs() < 2e-3;
        assert!(within(summary.p50_ns, 500_000.0), "{summary}");
        assert!(within(summary.p99_ns, 990_000.0), "{summary}");
        assert!(within(summary.max_ns, 1_000_000.0), "{summary}");
    }
}
