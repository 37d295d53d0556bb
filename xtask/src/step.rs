//! One step of a chore: a command that is run in the workspace's root, timed, and on failure
//! named together with the line that repeats it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Why a chore stopped, in words for whoever started it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says `why`.
    pub fn new(why: impl Into<String>) -> Failure {
        Failure(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints `title`, does `work`, and prints how long it took; on failure adds `repeat_with`.
pub fn timed(
    title: &str,
    repeat_with: &str,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    println!("==> {title}");
    let begin = Instant::now();
    let result = work();
    let seconds = begin.elapsed().as_secs_f64();
    match result {
        Ok(()) => {
            println!("    {title}: {seconds:.1} s");
            Ok(())
        }
        Err(Failure(why)) => Err(Failure(format!(
            "{title} failed after {seconds:.1} s: {why}\nrepeat with: {repeat_with}"
        ))),
    }
}

/// Runs `cargo` with `arguments` in the workspace's root.
pub fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    succeed(Command::new(cargo).args(arguments))
}

/// Runs `command` in the workspace's root; an exit status other than zero is a failure.
pub fn succeed(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .current_dir(workspace_root())
        .status()
        .map_err(|error| Failure(format!("cannot start {program}: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("{program} ended with {status}")))
    }
}

/// Whether `program` can be started here.
pub fn is_installed(program: &str, version_flag: &str) -> bool {
    Command::new(program)
        .arg(version_flag)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The folder that holds the workspace's Cargo.toml.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask/ lies in the workspace's root")
}

/// Cargo's target folder, where everything that chores fetch or make is kept.
///
/// It is found from this program's own place (`target/<profile>/xtask`), so that a
/// `CARGO_TARGET_DIR` is honoured without asking Cargo.
pub fn target_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the system knows this program's path");
    program
        .ancestors()
        .nth(2)
        .expect("xtask lies in target/<profile>")
        .to_path_buf()
}
