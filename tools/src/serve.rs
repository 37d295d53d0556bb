//! `chiplog serve`: runs a node until SIGTERM or Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use server::config::ServerConfig;

use crate::log_lines;

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Kafka's server.properties; without it, a local node with its data in ./data.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A property that wins over the file; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = property)]
    overrides: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

/// Runs the node.
pub fn run(options: Options) -> ExitCode {
    log_lines::begin();
    let config = match ServerConfig::load(options.config.as_deref(), options.overrides) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("chiplog: {error}");
            return ExitCode::from(2);
        }
    };
    match server::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the node ended: {error}");
            eprintln!("chiplog: {error}");
            ExitCode::FAILURE
        }
    }
}
