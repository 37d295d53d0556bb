//! The gate of the runtime: the same append server on `ring`, on tokio-uring and as a plain epoll
//! loop, under one load generator, compared by the server's CPU time.
//!
//! `runtime-bench compare` runs everything interleaved and prints the table that is in
//! `docs/runtime.md`; `serve` and `load` are its parts; `write` measures file writes alone, `mailbox`
//! messages between cores.

use clap::{Parser, Subcommand};
use serve_epoll::Gather;
use std::error::Error;

mod append_frame;
mod compare;
mod cpu_time;
mod load;
mod mailbox;
mod serve_epoll;
mod serve_ring;
#[cfg(feature = "tokio-uring")]
mod serve_tokio_uring;
mod write;

#[derive(Parser)]
#[command(about = "Compares runtimes by the CPU time of an append server")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one append server until it is killed.
    Serve(ServeOptions),
    /// Put load on a server and print what it cost.
    Load(load::LoadOptions),
    /// Run all servers under all loads, interleaved, and print medians.
    Compare(compare::CompareOptions),
    /// Send questions and answers between two cores and print what they cost.
    Mailbox(mailbox::MailboxOptions),
    /// Append to files at a fixed rate and print write latency and CPU time.
    Write(write::WriteOptions),
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// This repository's runtime.
    Ring,
    /// epoll, read, pwritev, write: one hand-written loop.
    Epoll,
    /// The same, with one pwritev for all frames of a wake-up.
    EpollGathering,
    /// tokio-uring 0.5 (needs the feature of that name).
    TokioUring,
}

#[derive(Clone, Debug, clap::Args)]
struct ServeOptions {
    /// Which server.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Core to run on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// File to append to; it is emptied.
    #[arg(long)]
    file: std::path::PathBuf,
    /// Expected bytes a frame, for the size of receive buffers.
    #[arg(long, default_value_t = 1024)]
    frame_bytes: usize,
    /// How `ring` writes: `ring`, `inline` or, as the product does, `table`.
    #[arg(long, default_value = "table")]
    write_path: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Serve(options) => {
            ring::affinity::pin_to_core(options.core)?;
            match options.kind {
                Kind::Ring => serve_ring::serve(&options, announce),
                Kind::Epoll => serve_epoll::serve(&options, Gather::No, announce),
                Kind::EpollGathering => serve_epoll::serve(&options, Gather::WakeUp, announce),
                #[cfg(feature = "tokio-uring")]
                Kind::TokioUring => serve_tokio_uring::serve(&options, announce),
                #[cfg(not(feature = "tokio-uring"))]
                Kind::TokioUring => Err("built without the feature tokio-uring".into()),
            }
        }
        Command::Load(options) => load::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Mailbox(options) => mailbox::run(&options),
        Command::Write(options) => write::run(&options),
    }
}

/// Tells the parent process where the server listens.
fn announce(address: std::net::SocketAddr) {
    println!("listening {address}");
}
