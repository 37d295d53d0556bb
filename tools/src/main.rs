//! The `chiplog` command. Each subcommand has a file of its own; this one only tells them apart.

mod bench;
mod client;
mod completion;
mod configs;
mod connect;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delete_records;
mod dump_log;
mod failure;
mod get_offsets;
mod java_order;
mod log_dirs;
mod log_lines;
mod serve;
mod topic_filter;
mod topics;
mod transactions;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A log server that speaks Apache Kafka's protocol, and its tools.
#[derive(Parser)]
#[command(
    name = "chiplog",
    version,
    arg_required_else_help = true,
    infer_long_args = true
)]
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
    /// Create, list, describe, alter and delete topics, as kafka-topics does.
    Topics(Box<topics::Options>),
    /// Print offsets of partitions, as kafka-get-offsets does.
    GetOffsets(get_offsets::Options),
    /// Describe and alter settings, as kafka-configs does.
    Configs(Box<configs::Options>),
    /// Print records, as kafka-console-consumer does.
    ConsoleConsumer(Box<console_consumer::Options>),
    /// List, describe and delete groups and reset their offsets, as kafka-consumer-groups does.
    ConsumerGroups(Box<consumer_groups::Options>),
    /// Send lines of standard input as records, as kafka-console-producer does.
    ConsoleProducer(Box<console_producer::Options>),
    /// Delete records before given offsets, as kafka-delete-records does.
    DeleteRecords(delete_records::Options),
    /// Print what is in log directories, as kafka-log-dirs does.
    LogDirs(log_dirs::Options),
    /// List and describe transactions, find and abort hanging ones, as kafka-transactions does.
    Transactions(transactions::Options),
    /// Measure a broker under load.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print a completion script for a shell.
    Completion(completion::Options),
}

fn main() -> ExitCode {
    let command = match Chiplog::try_parse() {
        Ok(parsed) => parsed.command,
        Err(refused) => {
            // With standard error gone there is nobody left to tell.
            let _ = refused.print();
            // Kafka's tools end with 1 for wrong options, and so do these.
            return ExitCode::from(u8::from(refused.use_stderr()));
        }
    };
    match command {
        Command::Serve(options) => serve::run(options),
        Command::DumpLog(options) => dump_log::run(&options),
        Command::Topics(options) => topics::run(&options),
        Command::GetOffsets(options) => get_offsets::run(&options),
        Command::Configs(options) => configs::run(&options),
        Command::ConsoleConsumer(options) => console_consumer::run(&options),
        Command::ConsumerGroups(options) => consumer_groups::run(&options),
        Command::Transactions(options) => transactions::run(&options),
        Command::ConsoleProducer(options) => console_producer::run(&options),
        Command::DeleteRecords(options) => delete_records::run(&options),
        Command::LogDirs(options) => log_dirs::run(&options),
        Command::Bench(bench) => bench::run(bench),
        Command::Completion(options) => completion::run::<Chiplog>(&options),
    }
}
