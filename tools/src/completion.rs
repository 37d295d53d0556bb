//! `chiplog completion`: a script that completes the command's words in a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Which shell.
#[derive(Args)]
pub struct Options {
    /// The shell to write the script for.
    shell: Shell,
}

/// Prints the script for the command `C`.
pub fn run<C: CommandFactory>(options: &Options) -> ExitCode {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(options.shell, &mut command, name, &mut std::io::stdout());
    ExitCode::SUCCESS
}
