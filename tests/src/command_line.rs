//! chiplog's own command-line tools, run beside Kafka's with the same arguments.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::java::{self, Run, Tool};
use crate::place::chiplog_command;

/// Runs `chiplog` with `arguments`.
pub fn chiplog(arguments: &[&str]) -> Run {
    chiplog_with_input(arguments, b"")
}

/// Runs `chiplog` with `arguments` and with `input` on its standard input.
pub fn chiplog_with_input(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(chiplog_command())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("chiplog can be started");
    let mut pipe = child.stdin.take().expect("standard input is a pipe");
    let ended = thread::scope(|scope| {
        // A tool that does not read its input closes the pipe.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output().expect("chiplog ends")
    });
    Run {
        exit: ended.status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

/// Kafka's tool and chiplog's `subcommand` with the same arguments print the same and end with the
/// same status. Gives what they printed.
pub fn assert_same(tool: Tool, subcommand: &str, arguments: &[&str]) -> Run {
    assert_same_but(tool, subcommand, arguments, str::to_owned)
}

/// As [`assert_same`], of what `but` leaves of each output.
pub fn assert_same_but(
    tool: Tool,
    subcommand: &str,
    arguments: &[&str],
    but: impl Fn(&str) -> String,
) -> Run {
    let kafkas = java::run(tool, arguments);
    let ours = chiplog(&[&[subcommand], arguments].concat());
    assert_eq!(
        but(&ours.output),
        but(&kafkas.output),
        "{subcommand} {arguments:?}\nours: {}\nKafka's: {}",
        ours.errors,
        kafkas.errors
    );
    assert_eq!(ours.exit, kafkas.exit, "{subcommand} {arguments:?}");
    ours
}

/// The lines in order, for output in the order of a hash table.
pub fn sorted(output: &str) -> String {
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}
