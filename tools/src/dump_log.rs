//! `chiplog dump-log`: what is in the files of a data directory, line for line as
//! kafka-dump-log 3.9 prints it.
//!
//! One file a kind of file (`segment`, `offset_index`, `time_index`, `transaction_index`,
//! `producer_snapshot`); `decoder` turns records into text. Findings go to standard output,
//! mismatches to standard error after all files; what Kafka's tool dies of ends this one with
//! the same first line and exit code 1.

mod batch_line;
mod decoder;
mod fatal;
mod group_decoder;
mod index_file;
pub(crate) mod json;
pub(crate) mod layouts;
mod legacy;
mod metadata_decoder;
mod mismatches;
mod offset_index;
mod producer_snapshot;
mod raft_control;
mod scala_order;
mod segment;
mod segment_file;
mod time_index;
mod transaction_decoder;
mod transaction_index;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use decoder::Decoders;
use fatal::Fatal;
use mismatches::Mismatches;

const STRING_DECODER: &str = "org.apache.kafka.tools.api.StringDecoder";

/// kafka-dump-log's options, under its names.
#[derive(Args)]
pub struct Options {
    /// REQUIRED: The comma separated list of data and index log files to be dumped.
    #[arg(long, value_name = "file1, file2, ...", value_delimiter = ',')]
    files: Vec<String>,
    /// Print the messages' content when dumping data logs; implied by every decoder option.
    #[arg(long)]
    print_data_log: bool,
    /// Iterate over the records of each batch; implied by --print-data-log.
    #[arg(long)]
    deep_iteration: bool,
    /// Do not print the metadata of each record.
    #[arg(long)]
    skip_record_metadata: bool,
    /// Just verify indexes against their logs, without printing their content.
    #[arg(long)]
    verify_index_only: bool,
    /// Just make the checks that a broker makes at its start to see if an index is to be rebuilt.
    #[arg(long)]
    index_sanity_check: bool,
    /// Size of the largest message.
    #[arg(long, value_name = "size", default_value_t = 5 * 1024 * 1024)]
    max_message_size: i32,
    /// Read no more than so many bytes of batches of a log.
    #[arg(long, value_name = "size", default_value_t = i32::MAX)]
    max_bytes: i32,
    /// How to read keys: the String, Integer, Long or Default decoder of org.apache.kafka.tools.api.
    #[arg(long, num_args = 0..=1, default_missing_value = STRING_DECODER)]
    key_decoder_class: Option<String>,
    /// How to read values: the String, Integer, Long or Default decoder of org.apache.kafka.tools.api.
    #[arg(long, num_args = 0..=1, default_missing_value = STRING_DECODER)]
    value_decoder_class: Option<String>,
    /// Read records as those of __consumer_offsets.
    #[arg(long)]
    offsets_decoder: bool,
    /// Read records as those of __transaction_state.
    #[arg(long)]
    transaction_log_decoder: bool,
    /// Read records as cluster metadata.
    #[arg(long)]
    cluster_metadata_decoder: bool,
}

impl Options {
    fn prints_content(&self) -> bool {
        self.print_data_log
            || self.offsets_decoder
            || self.transaction_log_decoder
            || self.cluster_metadata_decoder
            || self.key_decoder_class.is_some()
            || self.value_decoder_class.is_some()
    }

    fn decoders(&self, out: &mut dyn Write) -> Result<Decoders, Fatal> {
        Ok(if self.offsets_decoder {
            Decoders::Offsets
        } else if self.transaction_log_decoder {
            Decoders::Transactions
        } else if self.cluster_metadata_decoder {
            Decoders::Metadata
        } else {
            let value = self
                .value_decoder_class
                .as_deref()
                .unwrap_or(STRING_DECODER);
            let value = decoder::by_class(value, out)?;
            let key = self.key_decoder_class.as_deref().unwrap_or(STRING_DECODER);
            Decoders::Plain {
                key: decoder::by_class(key, out)?,
                value,
            }
        })
    }
}

/// What to print of a log, and how.
pub(crate) struct LogOptions {
    prints_content: bool,
    deep: bool,
    skips_record_metadata: bool,
    bytes_max: u64,
    /// With a limit, a tail that was not read is not reported as invalid.
    is_limited: bool,
}

/// Dumps all files. Exit code 1 for what Kafka's tool dies of.
pub fn run(options: &Options) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let errors = &mut io::stderr().lock();
    let code = dump(options, &mut out, errors);
    match out.flush() {
        Ok(()) => code.into(),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Dumps all files and gives the exit code.
fn dump(options: &Options, out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let mut mismatches = Mismatches::default();
    let dumped = match options.files.is_empty() {
        true => writeln!(errors, "Missing required argument \"[files]\"").map(|()| 1),
        false => match dump_all(options, out, errors, &mut mismatches) {
            Ok(()) => mismatches.print(errors).map(|()| 0),
            Err(fatal) if fatal.is_broken_pipe => Ok(1),
            Err(fatal) => writeln!(errors, "{fatal}").map(|()| 1),
        },
    };
    // With standard error gone there is nobody left to tell.
    dumped.unwrap_or(1)
}

fn dump_all(
    options: &Options,
    out: &mut dyn Write,
    errors: &mut dyn Write,
    mismatches: &mut Mismatches,
) -> Result<(), Fatal> {
    let log_options = LogOptions {
        prints_content: options.prints_content(),
        deep: options.deep_iteration || options.prints_content(),
        skips_record_metadata: options.skip_record_metadata,
        bytes_max: options.max_bytes.max(0) as u64,
        is_limited: options.max_bytes != i32::MAX,
    };
    for name in &options.files {
        let path = as_java_prints(name);
        writeln!(out, "Dumping {}", path.display())?;
        match path
            .extension()
            .and_then(|suffix| suffix.to_str())
            .unwrap_or_default()
        {
            "log" | "checkpoint" => {
                let decoders = options.decoders(out)?;
                segment::dump(&path, &log_options, &decoders, out, mismatches)?;
            }
            "index" => offset_index::dump(&path, options, out, mismatches)?,
            "timeindex" => time_index::dump(&path, options, out, mismatches)?,
            "snapshot" => producer_snapshot::dump(&path, out, errors)?,
            "txnindex" => transaction_index::dump(&path, out)?,
            _ => writeln!(errors, "Ignoring unknown file {}", path.display())?,
        }
    }
    Ok(())
}

/// The path without doubled and trailing slashes.
fn as_java_prints(name: &str) -> PathBuf {
    let mut text = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter != '/' || !text.ends_with('/') {
            text.push(letter);
        }
    }
    if text.len() > 1 && text.ends_with('/') {
        text.pop();
    }
    PathBuf::from(text)
}

/// The offset that a segment's files are named for.
fn base_offset(path: &Path) -> Result<i64, Fatal> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    stem.parse().map_err(|_| {
        Fatal::new(
            "java.lang.NumberFormatException",
            format!("For input string: \"{stem}\""),
        )
    })
}

/// The other file of the same segment.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    absolute(path).with_file_name(format!("{stem}.{suffix}"))
}

/// The path from the root, as mismatches are reported.
fn absolute(path: &Path) -> PathBuf {
    match std::env::current_dir() {
        Ok(here) => here.join(path),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
