//! A client program: a process that ends with status 0 if all its checks held, or runs until it is
//! ended.
//!
//! Invariant: the process is gone when its [`Program`] is dropped, whatever happened.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use chiplog_tests::place::target_directory;
use chiplog_tests::state::{SOON, reach};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

/// A program that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// How much of a program's output is shown when its test fails.
const SHOWN_OF_OUTPUT_BYTES: usize = 20_000;

/// What `cargo xtask clients` fetched and built of `kind`.
pub fn fetched(kind: &str) -> PathBuf {
    let place = target_directory().join("clients").join(kind);
    assert!(
        place.exists(),
        "{} is missing: cargo xtask clients",
        place.display()
    );
    place
}

/// One running program, with what it wrote.
#[derive(Debug)]
pub struct Program {
    child: Child,
    output: NamedTempFile,
}

impl Program {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> Program {
        let output = NamedTempFile::new().expect("a temporary file can be made");
        let file = |output: &NamedTempFile| -> File { output.reopen().expect("it is there") };
        let errors = file(&output)
            .try_clone()
            .expect("a file can be opened twice");
        let child = command
            .stdin(Stdio::null())
            .stdout(errors.try_clone().expect("a file can be opened twice"))
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
        Program { child, output }
    }

    /// Runs `command` to its end, and gives what it wrote; panics unless it ends with status 0.
    pub fn run(command: &mut Command) -> String {
        let mut program = Program::start(command);
        let status = reach("the program ends", PATIENCE, || program.ended());
        let output = program.written();
        assert!(status.success(), "the program ended with {status}");
        output
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the program is a child")
    }

    /// Panics if the program has ended, which it does only when it failed.
    pub fn assert_running(&mut self) {
        let ended = self.ended();
        assert_eq!(ended, None, "the program runs until it is ended");
    }

    /// Asks the program to end (SIGTERM), waits for it, and gives how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        let id = Pid::from_raw(id).expect("process ids are positive");
        kill_process(id, Signal::TERM).expect("the program is a child that was not waited for");
        reach("the program's process ends", SOON, || self.ended())
    }

    /// Standard output and standard error so far.
    pub fn written(&self) -> String {
        let mut text = Vec::new();
        let mut file = self.output.reopen().expect("it is there");
        file.read_to_end(&mut text).expect("it can be read");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.written();
            let begin = text.ceil_char_boundary(text.len().saturating_sub(SHOWN_OF_OUTPUT_BYTES));
            eprintln!(
                "---- the end of the program's output ----\n{}----",
                &text[begin..]
            );
        }
    }
}
