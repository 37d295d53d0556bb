//! `bench-compare`: chiplog, Apache Kafka and the bare loops side by side, in one run on one
//! machine.
//!
//! Both brokers start on fresh data directories of one file system and are warmed up; then every
//! scenario is run several times, the sides taking turns, so that what disturbs the machine
//! disturbs all of them. Ends only what it has started and removes only the data it has written.

mod broker;
mod child;
mod cleaning;
mod contestant;
mod floor_process;
mod kernel_events;
mod loads;
mod machine;
mod markdown;
mod memory;
mod options;
mod scenario;
mod summary;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use benches::Error;
use benches::floor::receive::Receive;
use benches::floor::sendfile::Sendfile;
use clap::{Parser, Subcommand};

use options::Options;

#[derive(Parser)]
#[command(about = "Measures chiplog, Apache Kafka and the bare loops side by side")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the comparison.
    Run(Box<Options>),
    /// Serve as the bare loop under produce: receive, CRC-32C, write.
    FloorReceive {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Where to write.
        #[arg(long)]
        dir: PathBuf,
        /// How many files to write to.
        #[arg(long, default_value_t = 6)]
        partitions: usize,
    },
    /// Serve as the bare loop under consume: sendfile.
    FloorSendfile {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Where the files are that `run` has prepared.
        #[arg(long)]
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    let listen_at =
        |address| TcpListener::bind(address).map_err(Error::io(format!("listening at {address}")));
    match command {
        Command::Run(options) => scenario::run(&options),
        Command::FloorReceive {
            listen,
            dir,
            partitions,
        } => {
            let never = Receive::new(listen_at(listen)?, &dir, partitions)?.serve()?;
            match never {}
        }
        Command::FloorSendfile { listen, dir } => {
            let never = Sendfile::new(listen_at(listen)?, &dir)?.serve()?;
            match never {}
        }
    }
}
