//! Runs all servers under all loads, interleaved, and prints medians and spreads.

use crate::{Kind, cpu_time};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the machine is watched before a run.
const LOOK_FOR_QUIET: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, clap::Args)]
pub struct CompareOptions {
    /// Directory on the file system to append to.
    #[arg(long)]
    directory: PathBuf,
    /// Runs of each server under each load.
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ring", "epoll"])]
    kinds: Vec<Kind>,
    /// Loads: 1k, 64k, paced.
    #[arg(long, value_delimiter = ',', default_values = ["1k", "64k", "paced"])]
    loads: Vec<String>,
    /// Divides the number of frames, for a quick look.
    #[arg(long, default_value_t = 1)]
    shorten: u64,
    /// On a machine with other work: begin a run only when that work uses less than this many
    /// percent of one core, and repeat a run in which it used more.
    #[arg(long)]
    quiet_percent: Option<f64>,
}

struct Load {
    name: &'static str,
    frame_bytes: usize,
    connections: usize,
    depth: usize,
    rate: Option<u64>,
    frames: u64,
    /// The figure that is compared.
    figure: &'static str,
}

const LOADS: [Load; 3] = [
    Load {
        name: "1k",
        frame_bytes: 1 << 10,
        connections: 64,
        depth: 1,
        rate: None,
        frames: 25_000,
        figure: "server_us_per_frame",
    },
    Load {
        name: "64k",
        frame_bytes: 64 << 10,
        connections: 8,
        depth: 2,
        rate: None,
        frames: 8_000,
        figure: "server_s_per_gb",
    },
    Load {
        name: "paced",
        frame_bytes: 64 << 10,
        connections: 8,
        depth: 1,
        rate: Some(200_000_000 / (64 << 10)),
        frames: 9_000,
        figure: "server_s_per_gb",
    },
];

pub fn run(options: &CompareOptions) -> Result<(), Box<dyn Error>> {
    let mut figures: BTreeMap<(&str, String), Vec<f64>> = BTreeMap::new();
    for load in LOADS
        .iter()
        .filter(|load| options.loads.iter().any(|name| name == load.name))
    {
        for run in 0..options.runs {
            for turn in 0..options.kinds.len() {
                // Another order each time, so that nobody always follows the same neighbour.
                let kind = options.kinds[(run + turn) % options.kinds.len()];
                let line = match options.quiet_percent {
                    None => run_once(options, load, kind)?,
                    Some(percent) => run_quietly(options, load, kind, percent)?,
                };
                println!("{} {kind:?} {line}", load.name);
                let figure = value(&line, load.figure)?;
                figures
                    .entry((load.name, format!("{kind:?}")))
                    .or_default()
                    .push(figure);
            }
        }
    }
    println!("\n| load | server | median | min to max | times epoll's | quartiles |");
    println!("|---|---|---|---|---|---|");
    for load in &LOADS {
        for kind in &options.kinds {
            if let Some(all) = figures.get(&(load.name, format!("{kind:?}"))) {
                let control = figures.get(&(load.name, "Epoll".to_owned()));
                println!(
                    "| {} ({}) | {kind:?} | {}",
                    load.name,
                    load.figure,
                    row(all, control)
                );
            }
        }
    }
    Ok(())
}

/// Medians of the figure, and of the control's figure divided by it: that is taken round by round,
/// since the whole machine is faster at one time than at another.
fn row(all: &[f64], control: Option<&Vec<f64>>) -> String {
    let sorted = sorted(all);
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    let mut row = format!("{:.2} | {min:.2} to {max:.2} |", quantile(&sorted, 0.5));
    if let Some(control) = control {
        let ratios: Vec<f64> = control
            .iter()
            .zip(all)
            .map(|(c, figure)| figure / c)
            .collect();
        let ratios = self::sorted(&ratios);
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|q| quantile(&ratios, q));
        row += &format!(" {middle:.3} | {low:.3} to {high:.3} |");
    }
    row
}

/// A server process that ends with its guard.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended already, there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a quiet moment, runs, and does so again if the run was disturbed.
fn run_quietly(
    options: &CompareOptions,
    load: &Load,
    kind: Kind,
    percent: f64,
) -> Result<String, Box<dyn Error>> {
    loop {
        let (busy, began) = (cpu_time::of_machine()?, Instant::now());
        std::thread::park_timeout(LOOK_FOR_QUIET);
        let busy = cpu_time::of_machine()? - busy;
        if busy.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0 <= percent {
            let line = run_once(options, load, kind)?;
            if value(&line, "others_percent")? <= percent {
                return Ok(line);
            }
        }
    }
}

fn run_once(options: &CompareOptions, load: &Load, kind: Kind) -> Result<String, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let file = options.directory.join("runtime-bench.appended");
    let frames = (load.frames / options.shorten).max(1);
    warm_up_memory(&file, frames * load.frame_bytes as u64)?;
    let kind = clap::ValueEnum::to_possible_value(&kind).expect("all kinds have names");
    let mut server = Server(
        Command::new(&program)
            .args(["serve", "--kind", kind.get_name(), "--file"])
            .arg(&file)
            .args(["--frame-bytes", &load.frame_bytes.to_string()])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("listening ")
        .ok_or("the server did not start")?;
    let mut command = Command::new(&program);
    command.args([
        "load",
        "--to",
        address,
        "--server-pid",
        &server.0.id().to_string(),
    ]);
    for (name, number) in [
        ("--frame-bytes", Some(load.frame_bytes as u64)),
        ("--connections", Some(load.connections as u64)),
        ("--depth", Some(load.depth as u64)),
        ("--rate", load.rate),
        ("--frames", Some(frames)),
    ] {
        if let Some(number) = number {
            command.arg(name).arg(number.to_string());
        }
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    drop(server);
    std::fs::remove_file(&file)?;
    if !output.status.success() {
        return Err("the load generator failed".into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Writes and removes as much as a run will. Memory that has lain free was given back to the host
/// of a virtual machine, and costs several times as much the first time it is used again.
fn warm_up_memory(file: &Path, bytes: u64) -> std::io::Result<()> {
    let mut writer = std::fs::File::create(file)?;
    let block = vec![1; 1 << 20];
    for _ in 0..bytes.div_ceil(block.len() as u64) {
        writer.write_all(&block)?;
    }
    std::fs::remove_file(file)
}

fn value(line: &str, name: &str) -> Result<f64, Box<dyn Error>> {
    let field = line
        .split(' ')
        .find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    Ok(field
        .ok_or("the load generator printed no such figure")?
        .parse()?)
}

fn sorted(all: &[f64]) -> Vec<f64> {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}
