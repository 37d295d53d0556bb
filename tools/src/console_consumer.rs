//! `chiplog console-consumer`: prints records, with kafka-console-consumer's flags. With `--group`
//! it is a member of that group and commits what was printed; without, it reads all partitions by
//! itself.

mod fetcher;
mod formatter;
mod internal_records;
mod membership;
mod settings;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use crate::client::{Client, OffsetSpec, TopicPartition};
use crate::connect::{Output, required};
use crate::failure::Failure;
use crate::topic_filter::TopicFilter;

use fetcher::Fetcher;
use formatter::Formatter;
use membership::{Membership, Standing};
use settings::Settings;

const DEFAULT_FORMATTER: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

/// kafka-console-consumer's options, under its names.
#[derive(Args)]
pub struct Options {
    /// REQUIRED: The server(s) to connect to in the form HOST1:PORT1,HOST2:PORT2.
    #[arg(long, value_name = "server to connect to")]
    bootstrap_server: Option<String>,
    /// The topic to consume.
    #[arg(long, value_name = "topic")]
    topic: Option<String>,
    /// A regular expression for the topics to consume.
    #[arg(long, value_name = "regular expression")]
    include: Option<String>,
    /// Deprecated name of --include.
    #[arg(long, value_name = "regular expression")]
    whitelist: Option<String>,
    /// The partition to consume, from its end unless --offset says otherwise.
    #[arg(long, value_name = "partition")]
    partition: Option<i32>,
    /// Where to begin in the partition: an offset, 'earliest' or 'latest'.
    #[arg(long, value_name = "consume offset", allow_hyphen_values = true)]
    offset: Option<String>,
    /// The consumer group to be a member of.
    #[arg(long, value_name = "consumer group id")]
    group: Option<String>,
    /// Begin with the first record where the group has committed nothing.
    #[arg(long)]
    from_beginning: bool,
    /// End after so many records.
    #[arg(long, value_name = "num_messages", allow_negative_numbers = true)]
    max_messages: Option<i64>,
    /// End if no record came for so long, in milliseconds.
    #[arg(long, value_name = "timeout_ms", allow_negative_numbers = true)]
    timeout_ms: Option<i64>,
    /// read_committed, to leave out what belongs to open and aborted transactions, or
    /// read_uncommitted.
    #[arg(long)]
    isolation_level: Option<String>,
    /// What prints records: org.apache.kafka.tools.consumer.DefaultMessageFormatter,
    /// NoOpMessageFormatter, OffsetsMessageFormatter, GroupMetadataMessageFormatter or
    /// TransactionLogMessageFormatter.
    #[arg(long, value_name = "class", default_value = DEFAULT_FORMATTER)]
    formatter: String,
    /// What to print, as key=value: print.timestamp, print.key, print.offset, print.partition,
    /// print.headers, print.value, key.separator, line.separator, headers.separator, null.literal,
    /// key.deserializer, value.deserializer, headers.deserializer.
    #[arg(long, value_name = "prop")]
    property: Vec<String>,
    /// A properties file with the same; --property wins.
    #[arg(long, value_name = "config file")]
    formatter_config: Option<PathBuf>,
    /// The deserializer of keys.
    #[arg(long, value_name = "deserializer for key")]
    key_deserializer: Option<String>,
    /// The deserializer of values.
    #[arg(long, value_name = "deserializer for values")]
    value_deserializer: Option<String>,
    /// Go on after a record that cannot be printed.
    #[arg(long)]
    skip_message_on_error: bool,
    /// A property of the consumer, as key=value.
    #[arg(long, value_name = "consumer_prop")]
    consumer_property: Vec<String>,
    /// A properties file of the consumer; --consumer-property wins.
    #[arg(long = "consumer.config", value_name = "config file")]
    consumer_config: Option<PathBuf>,
    /// Print events of the consumer too.
    #[arg(long)]
    enable_systest_events: bool,
    #[command(flatten)]
    output: Output,
}

/// Prints records until it is to end: by a limit, by the time, by a signal.
pub fn run(options: &Options) -> ExitCode {
    let mut consumer = match Consumer::new(options) {
        Ok(consumer) => consumer,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let consumed = consumer.consume(&mut out);
    let closed = out.flush().map_err(Failure::from).and(consumer.close());
    eprintln!("Processed a total of {} messages", consumer.count);
    if options.enable_systest_events {
        println!("shutdown_complete");
    }
    match consumed.and(closed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => {
            eprintln!("Unable to write to standard out, closing consumer.");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("ERROR {failure}");
            ExitCode::FAILURE
        }
    }
}

struct Consumer<'o> {
    options: &'o Options,
    settings: Settings,
    client: Client,
    fetcher: Fetcher,
    formatter: Formatter,
    membership: Option<Membership>,
    topics: Option<TopicFilter>,
    is_interrupted: Arc<AtomicBool>,
    next_commit: Instant,
    count: i64,
}

impl<'o> Consumer<'o> {
    fn new(options: &'o Options) -> Result<Consumer<'o>, Failure> {
        let topics = check(options)?;
        let (settings, properties) = Settings::new(options)?;
        let bootstrap = required(options.bootstrap_server.as_deref(), "bootstrap-server")?;
        let client =
            |properties: &BTreeMap<String, String>| settings::client(bootstrap, properties);
        let membership = match &settings.group {
            None => None,
            Some(group) => {
                // The answer to a join waits for the whole rebalance.
                let mut patient = properties.clone();
                let wait = settings.rebalance_timeout + Duration::from_secs(5);
                patient.insert(
                    "request.timeout.ms".to_owned(),
                    wait.as_millis().to_string(),
                );
                Some(Membership::new(client(&patient)?, group, settings.clone()))
            }
        };
        let is_interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal ends the process as if there was no handler.
            let flag = Arc::clone(&is_interrupted);
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, flag)?;
        }
        let formatter = settings::formatter_properties(options)?;
        Ok(Consumer {
            options,
            client: client(&properties)?,
            fetcher: Fetcher::new(settings.isolation, settings.reset),
            formatter: Formatter::new(&options.formatter, &formatter, &options.output)?,
            membership,
            topics,
            is_interrupted,
            next_commit: Instant::now() + settings.commit_interval,
            settings,
            count: 0,
        })
    }

    fn consume(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let limit = self.options.max_messages.filter(|limit| *limit >= 0);
        let patience = self.options.timeout_ms.filter(|millis| *millis >= 0);
        let patience = patience.map(|millis| Duration::from_millis(millis.unsigned_abs()));
        self.assign()?;
        let mut last_record = Instant::now();
        while limit != Some(self.count) && !self.is_interrupted.load(Ordering::Relaxed) {
            if let Some(record) = self.fetcher.next() {
                self.count += 1;
                last_record = Instant::now();
                let is_printed = self.formatter.write(&record, out)?;
                if !is_printed && !self.options.skip_message_on_error {
                    return Err(Failure::said(format!(
                        "Error processing message: the record {} of {} is not what the \
                         deserializers expect",
                        record.offset, record.at
                    )));
                }
                continue;
            }
            // Whoever reads the output waits for it now.
            out.flush()?;
            if patience.is_some_and(|patience| last_record.elapsed() > patience) {
                eprintln!(
                    "ERROR Error processing message, terminating consumer process: no message \
                     within the given time"
                );
                return Ok(());
            }
            self.keep_membership()?;
            self.fetcher.fetch(&mut self.client)?;
        }
        Ok(())
    }

    /// Commits what was printed, and leaves the group.
    fn close(&mut self) -> Result<(), Failure> {
        self.commit()?;
        if let Some(membership) = &mut self.membership {
            membership.leave();
        }
        Ok(())
    }

    fn keep_membership(&mut self) -> Result<(), Failure> {
        let Some(membership) = &mut self.membership else {
            return Ok(());
        };
        if membership.heartbeat()? == Standing::MustJoin {
            self.commit()?;
            return self.assign();
        }
        if Instant::now() >= self.next_commit {
            self.next_commit = Instant::now() + self.settings.commit_interval;
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        match &mut self.membership {
            Some(membership) if self.settings.commits => {
                Ok(membership.commit(&self.fetcher.positions())?)
            }
            _ => Ok(()),
        }
    }

    /// Finds out which partitions to read, and where to begin.
    fn assign(&mut self) -> Result<(), Failure> {
        let mut positions = BTreeMap::new();
        let partitions = match (self.options.partition, &mut self.membership) {
            (Some(partition), _) => {
                let at =
                    TopicPartition::new(self.options.topic.as_deref().unwrap_or(""), partition);
                if let Begin::At(offset) = self.settings.begin {
                    positions.insert(at.clone(), offset);
                }
                vec![at]
            }
            (None, None) => {
                let topics = subscribed(&mut self.client, self.options, self.topics.as_ref())?;
                topics.into_values().flatten().collect()
            }
            (None, Some(membership)) => {
                let topics = subscribed(&mut self.client, self.options, self.topics.as_ref())?;
                let names: Vec<String> = topics.into_keys().collect();
                let assigned = membership.join(&names)?;
                positions = membership.committed(&assigned)?;
                assigned
            }
        };
        let begin = match (self.options.partition, self.settings.begin) {
            (Some(_), Begin::Earliest) => OffsetSpec::Earliest,
            (Some(_), _) => OffsetSpec::Latest,
            (None, _) => self.settings.reset.unwrap_or(OffsetSpec::Latest),
        };
        let without = partitions.iter().filter(|at| !positions.contains_key(*at));
        let wanted: BTreeMap<TopicPartition, OffsetSpec> =
            without.map(|at| (at.clone(), begin)).collect();
        for (at, found) in self.client.list_offsets(&wanted, self.settings.isolation)? {
            positions.insert(at, found?.offset);
        }
        self.fetcher.assign(positions);
        Ok(())
    }
}

/// Where to begin in a partition that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Earliest,
    Latest,
    At(i64),
}

/// The topics to read, with their partitions. A topic that was named is waited for, and made if the
/// broker makes topics by itself.
fn subscribed(
    client: &mut Client,
    options: &Options,
    filter: Option<&TopicFilter>,
) -> Result<BTreeMap<String, Vec<TopicPartition>>, Failure> {
    let topics = match (&options.topic, filter) {
        (Some(name), _) => vec![client.retried(|client| client.topic_or_create(name))?],
        (None, Some(filter)) => {
            let all = client.all_topics()?.into_iter();
            all.filter(|topic| filter.allows(&topic.name)).collect()
        }
        (None, None) => Vec::new(),
    };
    let topics = topics.into_iter();
    Ok(topics
        .map(|topic| (topic.name.clone(), topic.all_partitions().collect()))
        .collect())
}

/// Checks what goes together, and gives the filter of topics, if one was given.
fn check(options: &Options) -> Result<Option<TopicFilter>, Failure> {
    let include = options.include.as_ref().or(options.whitelist.as_ref());
    if options.topic.is_some() == include.is_some() {
        return Err(Failure::usage(
            "Exactly one of --include/--topic is required. ",
        ));
    }
    match options.partition {
        Some(_) if options.topic.is_none() => {
            return Err(Failure::usage(
                "The topic is required when partition is specified.",
            ));
        }
        Some(_) if options.from_beginning && options.offset.is_some() => {
            return Err(Failure::usage(
                "Options from-beginning and offset cannot be specified together.",
            ));
        }
        None if options.offset.is_some() => {
            return Err(Failure::usage(
                "The partition is required when offset is specified.",
            ));
        }
        _ => {}
    }
    required(options.bootstrap_server.as_deref(), "bootstrap-server")?;
    include.map(|pattern| TopicFilter::new(pattern)).transpose()
}
