//! The `chiplog` command. Each subcommand has a file of its own; this one only tells them apart.

mod bench;
mod completion;
mod dump_log;
mod log_lines;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A log server that speaks Apache Kafka's protocol, and its tools.
#[derive(Parser)]
#[command(name = "chiplog", version, arg_required_else_help = true)]
struct Chiplog {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Options),
    /// Print what is in log segments, indexes and snapshots, as kafka-dump-log does.
    DumpLog(dump_log::Options),
    /// Measure a broker under load.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print a completion script for a shell.
    Completion(completion::Options),
}

fn main() -> ExitCode {
    match Chiplog::parse().command {
        Command::Serve(options) => serve::run(options),
        Command::DumpLog(options) => dump_log::run(&options),
        Command::Bench(bench) => bench::run(bench),
        Command::Completion(options) => completion::run::<Chiplog>(&options),
    }
}
