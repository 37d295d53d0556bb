//! `chiplog bench`: the load harness of benches/, against any Kafka broker.

use std::fmt::Display;
use std::process::ExitCode;

use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// Produce, as fast as possible or on schedule, and report rates, latencies and CPU time.
    Produce(Box<benches::produce::Options>),
    /// Consume a topic from its beginning and report rates and CPU time.
    Consume(Box<benches::consume::Options>),
}

/// Measures and prints the report.
pub fn run(bench: Bench) -> ExitCode {
    match bench {
        Bench::Produce(options) => print(benches::produce::run(*options)),
        Bench::Consume(options) => print(benches::consume::run(*options)),
    }
}

fn print<R: Display>(report: Result<R, benches::Error>) -> ExitCode {
    match report {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("chiplog bench: {error}");
            ExitCode::FAILURE
        }
    }
}
