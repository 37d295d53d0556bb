//! `chiplog console-producer`: each line of standard input becomes a record, with
//! kafka-console-producer's flags. Idempotent unless the acknowledgements asked for forbid it.

mod accumulator;
mod line;
mod partitioner;
mod sender;

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use protocol::batch::Compression;

use crate::connect::{client, key_values, load, required};
use crate::failure::Failure;

use line::LineReader;
use sender::Sender;

/// Lines that were read and not yet taken; more make the reader wait.
const LINES_WAITING_MAX: usize = 1024;

/// Keys of producers that have an effect here or an option, beside those of every client.
const PRODUCER_KEYS: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "key.serializer",
    "value.serializer",
    "partitioner.ignore.keys",
];

/// kafka-console-producer's options, under its names.
#[derive(Args)]
pub struct Options {
    /// REQUIRED: The topic to produce messages to.
    #[arg(long, value_name = "topic")]
    topic: Option<String>,
    /// REQUIRED: The server(s) to connect to in the form HOST1:PORT1,HOST2:PORT2.
    #[arg(long, value_name = "server to connect to")]
    bootstrap_server: Option<String>,
    /// Deprecated name of --bootstrap-server.
    #[arg(long, value_name = "broker-list")]
    broker_list: Option<String>,
    /// Send one message at a time, and wait for each.
    #[arg(long)]
    sync: bool,
    /// The compression codec: 'none', 'gzip', 'snappy', 'lz4' or 'zstd'; without value 'gzip'.
    #[arg(long, num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
    /// Bytes of messages to a partition that are sent together.
    #[arg(long, value_name = "size")]
    batch_size: Option<u32>,
    /// The same as --batch-size, and wins over it.
    #[arg(long, value_name = "memory in bytes per partition")]
    max_partition_memory_bytes: Option<u32>,
    /// How often to send again what failed in passing.
    #[arg(long, default_value_t = 3)]
    message_send_max_retries: u32,
    /// How long to wait before sending again, in milliseconds.
    #[arg(long)]
    retry_backoff_ms: Option<u64>,
    /// How long a message waits for others to be sent with it, in milliseconds.
    #[arg(long, value_name = "timeout_ms")]
    timeout: Option<u64>,
    /// The acknowledgements required: 0, 1, -1 or all.
    #[arg(long, value_name = "request required acks", allow_hyphen_values = true)]
    request_required_acks: Option<String>,
    /// How long an acknowledgement may take, in milliseconds.
    #[arg(long, value_name = "request timeout ms")]
    request_timeout_ms: Option<u64>,
    /// How long to wait for the topic to be known, in milliseconds.
    #[arg(long, value_name = "max block on send")]
    max_block_ms: Option<u64>,
    /// Accepted without effect: metadata are asked for when needed.
    #[arg(long, value_name = "metadata expiration interval")]
    metadata_expiry_ms: Option<u64>,
    /// Accepted without effect: what waits to be sent is bounded by --batch-size.
    #[arg(long, value_name = "total memory in bytes")]
    max_memory_bytes: Option<u64>,
    /// Accepted without effect: the system chooses.
    #[arg(long, value_name = "size")]
    socket_buffer_size: Option<u32>,
    /// How lines are read, as key=value: parse.key, key.separator, parse.headers,
    /// headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.
    #[arg(long, value_name = "prop")]
    property: Vec<String>,
    /// A properties file with the same; --property wins.
    #[arg(long, value_name = "config file")]
    reader_config: Option<PathBuf>,
    /// A property of the producer, as key=value.
    #[arg(long, value_name = "producer_prop")]
    producer_property: Vec<String>,
    /// A properties file of the producer; --producer-property wins.
    #[arg(long = "producer.config", value_name = "config file")]
    producer_config: Option<PathBuf>,
}

/// How to send.
struct Sending {
    topic: String,
    acks: i16,
    compression: Compression,
    batch_bytes: usize,
    linger: Duration,
    retries: u32,
    request_timeout: Duration,
    is_idempotent: bool,
}

/// Sends everything.
pub fn run(options: &Options) -> ExitCode {
    match produce(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn produce(options: &Options) -> Result<(), Failure> {
    let topic = required(options.topic.as_deref(), "topic")?;
    let bootstrap = options.bootstrap_server.as_ref();
    let bootstrap = required(
        bootstrap.or(options.broker_list.as_ref()),
        "bootstrap-server",
    )?;
    let mut properties = match &options.producer_config {
        Some(path) => load(path)?,
        None => BTreeMap::new(),
    };
    properties.extend(key_values(&options.producer_property));
    let mut set = |key: &str, value: Option<String>, default: &str| {
        if let Some(value) = value {
            properties.insert(key.to_owned(), value);
        } else {
            properties
                .entry(key.to_owned())
                .or_insert(default.to_owned());
        }
    };
    set(
        "request.timeout.ms",
        options.request_timeout_ms.map(|ms| ms.to_string()),
        "1500",
    );
    set(
        "retry.backoff.ms",
        options.retry_backoff_ms.map(|ms| ms.to_string()),
        "100",
    );
    set(
        "default.api.timeout.ms",
        options.max_block_ms.map(|ms| ms.to_string()),
        "60000",
    );
    let sending = sending(topic, options, &properties)?;
    let mut reader = match &options.reader_config {
        Some(path) => load(path)?,
        None => BTreeMap::new(),
    };
    reader.extend(key_values(&options.property));
    let reader = LineReader::new(&reader)?;
    let client = client(bootstrap, &properties, "console-producer", PRODUCER_KEYS)?;
    let is_sync = options.sync;
    let mut sender = Sender::new(client, sending);
    let (lines, received) = sync_channel(LINES_WAITING_MAX);
    // It ends with its input, or with the process.
    thread::spawn(move || read_lines(&lines));
    send_all(&received, reader, &mut sender, is_sync)
}

fn sending(
    topic: &str,
    options: &Options,
    properties: &BTreeMap<String, String>,
) -> Result<Sending, Failure> {
    let property = |key: &str| properties.get(key).map(String::as_str);
    let number = |key: &str, given: Option<u64>, default: u64| match (given, property(key)) {
        (Some(given), _) => Ok(given),
        (None, None) => Ok(default),
        (None, Some(text)) => text
            .parse()
            .map_err(|_| Failure::said(format!("Invalid value {text} for configuration {key}"))),
    };
    let acks = options
        .request_required_acks
        .as_deref()
        .or(property("acks"));
    let acks = match acks.unwrap_or("-1") {
        "-1" | "all" => -1,
        "0" => 0,
        "1" => 1,
        other => {
            return Err(Failure::said(format!(
                "Invalid value {other} for configuration acks: String must be one of: all, -1, 0, 1"
            )));
        }
    };
    let codec = options.compression_codec.as_deref().unwrap_or("none");
    let compression = Compression::ALL
        .into_iter()
        .find(|known| known.name() == codec);
    let compression =
        compression.ok_or_else(|| Failure::said(format!("Unknown compression name: {codec}")))?;
    let batch = options.max_partition_memory_bytes.or(options.batch_size);
    let idempotence = property("enable.idempotence").map(|text| text == "true");
    if idempotence == Some(true) && acks != -1 {
        return Err(Failure::said(
            "Must set acks to all in order to use the idempotent producer. Otherwise we cannot \
             guarantee idempotence.",
        ));
    }
    let timeout = properties["request.timeout.ms"].parse().unwrap_or(1500);
    Ok(Sending {
        topic: topic.to_owned(),
        acks,
        compression,
        batch_bytes: number("batch.size", batch.map(u64::from), 16 * 1024)? as usize,
        linger: Duration::from_millis(number("linger.ms", options.timeout, 1000)?),
        retries: options.message_send_max_retries,
        request_timeout: Duration::from_millis(timeout),
        is_idempotent: idempotence.unwrap_or(acks == -1),
    })
}

/// Hands over line by line, without their ends.
fn read_lines(lines: &SyncSender<io::Result<Vec<u8>>>) {
    let mut input = io::stdin().lock();
    let prompts = io::stdin().is_terminal() && io::stdout().is_terminal();
    loop {
        if prompts {
            print!(">");
            // A prompt that cannot be shown is nobody's loss.
            let _ = io::stdout().flush();
        }
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        if matches!(read, Ok(0)) {
            return;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        let is_last = read.is_err();
        // Nobody takes lines any more: the producer has failed.
        if lines.send(read.map(|_| line)).is_err() || is_last {
            return;
        }
    }
}

fn send_all(
    lines: &Receiver<io::Result<Vec<u8>>>,
    mut reader: LineReader,
    sender: &mut Sender,
    is_sync: bool,
) -> Result<(), Failure> {
    loop {
        let line = match sender.next_deadline() {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => lines.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match line {
            Ok(line) => {
                let line = line?;
                match reader.record(&line) {
                    Ok(record) => sender.add(&record)?,
                    Err(failure) => {
                        // What was read before goes out all the same, as from Kafka's tool.
                        sender.flush();
                        return Err(failure);
                    }
                }
                if is_sync {
                    sender.flush();
                    sender.failed()?;
                }
            }
            Err(RecvTimeoutError::Timeout) => sender.send_due(),
            Err(RecvTimeoutError::Disconnected) => {
                sender.flush();
                return Ok(());
            }
        }
    }
}
