//! What a buffered append costs and how long it takes: several files, each with one write in flight,
//! at a fixed rate or as fast as they go. An inline write stops its thread for as long as it takes.

use crate::cpu_time;
use bytes::Bytes;
use hdrhistogram::Histogram;
use ring::event::Event;
use ring::file::{Allocate, File, WritePath};
use ring::timer;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes written between two calls for early writeback.
const WRITEBACK_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, clap::Args)]
pub struct WriteOptions {
    /// Directory on the file system to measure.
    #[arg(long)]
    directory: PathBuf,
    /// How to write.
    #[arg(long, value_enum, default_value = "ring")]
    path: Path,
    /// Bytes in one write.
    #[arg(long, default_value_t = 128 << 10)]
    piece_bytes: u64,
    /// MB/s over all files; as fast as they go if absent.
    #[arg(long)]
    rate: Option<u64>,
    /// MiB to write over all files.
    #[arg(long, default_value_t = 300)]
    mebibytes: u64,
    /// Files.
    #[arg(long, default_value_t = 6)]
    files: u64,
    /// Start writeback early, by `sync_file_range` through the ring.
    #[arg(long)]
    writeback: bool,
    /// Allocate each file's blocks before.
    #[arg(long, value_enum, default_value = "no")]
    allocate: Ahead,
    /// Run all combinations this many times, interleaved, and print medians.
    #[arg(long)]
    matrix: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Path {
    Ring,
    Inline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Ahead {
    No,
    Extend,
    KeepSize,
}

pub fn run(options: &WriteOptions) -> Result<(), Box<dyn Error>> {
    if let Some(runs) = options.matrix {
        return matrix(options, runs);
    }
    ring::affinity::pin_to_core(0)?;
    ring::Runtime::new(ring::Options::default())?.block_on(drive(options))
}

struct Run {
    write_ns: RefCell<Histogram<u64>>,
    /// How long each poll of a write stopped the thread.
    stop_ns: RefCell<Histogram<u64>>,
    left: Cell<u64>,
    done: Event,
}

async fn drive(options: &WriteOptions) -> Result<(), Box<dyn Error>> {
    let run = Rc::new(Run {
        write_ns: RefCell::new(Histogram::new(3)?),
        stop_ns: RefCell::new(Histogram::new(3)?),
        left: Cell::new(options.files),
        done: Event::new(),
    });
    let bytes = (options.mebibytes << 20) / options.files;
    let mut files = Vec::new();
    for i in 0..options.files {
        let path = options.directory.join(format!("runtime-bench.written.{i}"));
        let file =
            File::from_std(std::fs::File::create(&path)?).with_write_path(match options.path {
                Path::Ring => WritePath::Ring,
                Path::Inline => WritePath::Inline,
            });
        match options.allocate {
            Ahead::No => {}
            Ahead::Extend => file.fallocate(Allocate::Extend, 0, bytes).await?,
            Ahead::KeepSize => file.fallocate(Allocate::KeepSize, 0, bytes).await?,
        }
        files.push((path, file));
    }
    let (cpu, start) = (cpu_time::of_process(std::process::id())?, Instant::now());
    for (i, (_, file)) in files.iter().enumerate() {
        ring::spawn(
            run.clone()
                .append(options.clone(), file.clone(), i as u64, bytes),
        );
    }
    run.done.wait().await;
    let cpu = cpu_time::of_process(std::process::id())? - cpu;
    let gigabytes = (bytes * options.files) as f64 / 1e9;
    let (writes, stops) = (run.write_ns.borrow(), run.stop_ns.borrow());
    let us = |q| writes.value_at_quantile(q) / 1000;
    println!(
        "cpu_s_per_gb={:.3} mb_per_second={:.0} p50_us={} p99_us={} p999_us={} max_us={} \
         stop_p999_us={} stop_max_us={}",
        cpu.as_secs_f64() / gigabytes,
        gigabytes * 1000.0 / start.elapsed().as_secs_f64(),
        us(0.5),
        us(0.99),
        us(0.999),
        writes.max() / 1000,
        stops.value_at_quantile(0.999) / 1000,
        stops.max() / 1000,
    );
    for (path, _) in files {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

impl Run {
    async fn append(self: Rc<Self>, options: WriteOptions, file: File, number: u64, bytes: u64) {
        let piece = Bytes::from(vec![number as u8; options.piece_bytes as usize]);
        let every = options.rate.map(|rate| {
            let seconds = (options.piece_bytes * options.files) as f64 / (rate * 1_000_000) as f64;
            Duration::from_secs_f64(seconds)
        });
        let mut due = Instant::now() + every.unwrap_or_default().mul_f64(number as f64 / 6.0);
        let (mut position, mut early) = (0, 0);
        while position < bytes {
            match every {
                Some(every) => {
                    timer::sleep_until(due).await;
                    due += every;
                }
                None => due = Instant::now(),
            }
            let began = Instant::now();
            let mut write = pin!(file.write_vectored_all_at(vec![piece.clone()], position));
            poll_fn(|cx| {
                let began = Instant::now();
                let polled = write.as_mut().poll(cx);
                self.stop_ns
                    .borrow_mut()
                    .record(began.elapsed().as_nanos() as u64)
                    .expect("grows");
                polled
            })
            .await
            .expect("room");
            self.write_ns
                .borrow_mut()
                .record(began.elapsed().as_nanos() as u64)
                .expect("grows");
            position += options.piece_bytes;
            if options.writeback && position - early >= WRITEBACK_BYTES {
                let (file, from, len) = (file.clone(), early, (position - early) as u32);
                ring::spawn(async move { file.sync_range(from, len).await.expect("a file") });
                early = position;
            }
            ring::yield_now().await;
        }
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.done.notify();
        }
    }
}

/// Runs every combination in its own process.
fn matrix(options: &WriteOptions, runs: usize) -> Result<(), Box<dyn Error>> {
    let mut figures: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    let mut combinations = Vec::new();
    for rate in [Some("50"), None] {
        for piece in ["16384", "131072", "786432"] {
            for path in ["ring", "inline"] {
                for extra in [
                    &[][..],
                    &["--writeback"],
                    &["--writeback", "--allocate", "extend"],
                    &["--writeback", "--allocate", "keep-size"],
                ] {
                    let mut arguments = vec!["--piece-bytes", piece, "--path", path];
                    arguments.extend(rate.iter().flat_map(|rate| ["--rate", rate]));
                    arguments.extend(extra);
                    combinations.push(arguments);
                }
            }
        }
    }
    for _ in 0..runs {
        for arguments in &combinations {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["write", "--directory"])
                .arg(&options.directory)
                .args(arguments);
            if !arguments.contains(&"--rate") {
                command.args(["--mebibytes", "900"]);
            }
            let output = command.output()?;
            let line = String::from_utf8(output.stdout)?;
            let values = line
                .split_whitespace()
                .filter_map(|field| field.split_once('='));
            let values: Vec<f64> = values.map(|(_, v)| v.parse().unwrap_or(f64::NAN)).collect();
            figures.entry(arguments.join(" ")).or_default().push(values);
        }
    }
    println!(
        "medians: CPU s/GB | MB/s | p50, p99, p99.9, max in us | thread stopped p99.9, max in us"
    );
    for (name, all) in figures {
        let medians = (0..all[0].len()).map(|i| {
            let mut column: Vec<f64> = all.iter().map(|values| values[i]).collect();
            column.sort_by(f64::total_cmp);
            column[column.len() / 2].to_string()
        });
        println!("{name} | {}", medians.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}
