//! Appends to several files at a fixed rate, and prints what a write costs and how long it takes.

use std::error::Error;

#[derive(Clone, Debug, clap::Args)]
pub struct WriteOptions {}

pub fn run(_: &WriteOptions) -> Result<(), Box<dyn Error>> {
    Ok(())
}
