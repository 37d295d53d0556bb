//! Compares with what kafka-dump-log 3.9.1 prints for the same files.
//!
//! `fixtures/dump_log/cases.txt` has a name and arguments on each line; `expected/<name>.txt` is
//! what Kafka's tool answered: standard output, standard error behind `ERR `, the exit code. The
//! files are Kafka's own, cut short; those in `damaged-*` have one thing broken each.

use std::path::Path;

use clap::Parser;

use super::{Options, dump};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn run(arguments: &str) -> String {
    let words = std::iter::once("dump-log").chain(arguments.split_whitespace());
    let line = Line::parse_from(words);
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = dump(&line.options, &mut out, &mut errors);
    let here = std::env::current_dir().unwrap();
    let errors = String::from_utf8(errors)
        .unwrap()
        .replace(here.to_str().unwrap(), "{here}");
    let mut text = String::from_utf8(out).unwrap();
    for error in errors.lines() {
        text.push_str(&format!("ERR {error}\n"));
    }
    text.push_str(&format!("EXIT {code}\n"));
    text
}

#[test]
fn every_case_prints_what_kafkas_tool_prints() {
    let fixtures = Path::new("fixtures/dump_log");
    let cases = std::fs::read_to_string(fixtures.join("cases.txt")).unwrap();
    let mut compared = 0;
    for case in cases.lines() {
        let (name, arguments) = case.split_once(' ').expect("a name and arguments");
        let expected = fixtures.join("expected").join(format!("{name}.txt"));
        let expected = std::fs::read_to_string(expected).unwrap();
        let printed = run(arguments);
        for (ours, kafkas) in printed.lines().zip(expected.lines()) {
            assert_eq!(ours, kafkas, "{name}");
        }
        assert_eq!(printed.lines().count(), expected.lines().count(), "{name}");
        compared += 1;
    }
    assert!(compared >= 30, "only {compared} cases were compared");
}

#[test]
fn the_files_must_be_named() {
    assert_eq!(
        run(""),
        "ERR Missing required argument \"[files]\"\nEXIT 1\n"
    );
}

#[test]
fn cut_anywhere_a_file_is_dumped_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sources = [
        "fixtures/dump_log/codec-none-0/00000000000000000000.log",
        "fixtures/dump_log/codec-zstd-0/00000000000000000000.log",
        "fixtures/dump_log/legacy-v1-gzip/00000000000000000000.log",
        "fixtures/dump_log/txn-0/00000000000000000072.snapshot",
        "fixtures/dump_log/txn-0/00000000000000000000.txnindex",
    ];
    for source in sources {
        let source = Path::new(source);
        let bytes = std::fs::read(source).unwrap();
        let copy = dir.path().join(source.file_name().unwrap());
        for step in 0..60 {
            let mut damaged = bytes[..bytes.len() * step / 60].to_vec();
            if let Some(byte) = damaged.get_mut(step * 7 % bytes.len()) {
                *byte ^= 0x55;
            }
            std::fs::write(&copy, &damaged).unwrap();
            for decoder in ["", " --cluster-metadata-decoder", " --offsets-decoder"] {
                let printed = run(&format!(
                    "--files {} --deep-iteration{decoder}",
                    copy.display()
                ));
                assert!(printed.contains("EXIT "));
            }
        }
    }
}

#[test]
fn who_stops_reading_is_told_nothing() {
    /// As a pipe that nobody reads from.
    struct Unread;
    impl std::io::Write for Unread {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let file = "fixtures/dump_log/txn-0/00000000000000000000.txnindex";
    let line = Line::parse_from(["dump-log", "--files", file]);
    let mut errors = Vec::new();
    assert_eq!(dump(&line.options, &mut Unread, &mut errors), 1);
    assert_eq!(String::from_utf8_lossy(&errors), "");
}
