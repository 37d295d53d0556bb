//! The project's chores, each one command: `cargo xtask <chore>`.
//!
//! This file only knows the chores' names; each chore lives in the file named for it. A chore
//! never asks a question, so that all of them run without a terminal.

mod bench_engine;
mod check;
mod clients;
mod data;
mod fuzz;
mod gen_messages;
mod peers;
mod step;

use std::process::ExitCode;

use gen_messages::Purpose;
use step::Failure;

const USAGE: &str = "\
usage: cargo xtask <chore>
  check          format, lints, documentation of public items, build, every test
  clients [NAME] [--long]
                 run clients of other languages, Kafka Streams and Kafka Connect against a node
                 (needs Java, Maven, Python, pip, Node and Go); --long for five minutes of a group
                 whose members come and go
  peers          bring Apache Kafka's jars into target/peers (needs Java and Maven)
  data           bring the real data set of the tests into target/data (needs Python and pip)
  gen-messages [--check] [--jars DIRECTORY]
                 write protocol/src/messages from the schemas of Kafka's jars; --check compares
  fuzz [MINUTES [TARGET]]  run every fuzz target, or one, for MINUTES each (10 if not given)
  bench-engine [--save]
                 run the engine's criterion benchmarks beside their baseline, or make it anew";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["check"] => check::run(),
        ["clients", arguments @ ..] => clients::run(arguments),
        ["peers"] => peers::run(),
        ["data"] => data::run(),
        ["gen-messages"] => gen_messages::run(Purpose::Write, None),
        ["gen-messages", "--check"] => gen_messages::run(Purpose::Check, None),
        ["gen-messages", "--jars", directory] => gen_messages::run(Purpose::Write, Some(directory)),
        ["gen-messages", "--check", "--jars", directory] => {
            gen_messages::run(Purpose::Check, Some(directory))
        }
        ["bench-engine", arguments @ ..] => bench_engine::run(arguments),
        ["fuzz", minutes @ ..] => fuzz::run(minutes),
        _ => Err(Failure::new(USAGE)),
    }
}
