//! What a question and answer between two cores cost, with few or many under way.

use crate::cpu_time;
use ring::mailbox::{Receiver, Sender, channel};
use std::error::Error;
use std::thread;
use std::time::Instant;

#[derive(Clone, Debug, clap::Args)]
pub struct MailboxOptions {
    /// Round trips.
    #[arg(long, default_value_t = 200_000)]
    round_trips: u64,
    /// Round trips under way at once.
    #[arg(long, default_value_t = 64)]
    outstanding: u64,
}

pub fn run(options: &MailboxOptions) -> Result<(), Box<dyn Error>> {
    let (ask, questions) = channel(1024);
    let (answer, answers) = channel(1024);
    let answering = thread::spawn(move || {
        on_core(1, async move { echo(questions, answer).await }).expect("a runtime")
    });
    let (cpu, start) = (cpu_time::of_process(std::process::id())?, Instant::now());
    let (round_trips, outstanding) = (options.round_trips, options.outstanding);
    let sum = on_core(0, async move {
        ask_all(ask, answers, round_trips, outstanding).await
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_time::of_process(std::process::id())? - cpu;
    answering
        .join()
        .map_err(|_| "the answering thread panicked")?;
    println!(
        "outstanding={outstanding} us_per_round_trip={:.3} cpu_us_per_round_trip={:.3} sum={sum}",
        seconds * 1e6 / round_trips as f64,
        cpu.as_secs_f64() * 1e6 / round_trips as f64,
    );
    Ok(())
}

fn on_core<T>(core: usize, future: impl Future<Output = T>) -> Result<T, Box<dyn Error>> {
    ring::affinity::pin_to_core(core)?;
    Ok(ring::Runtime::new(ring::Options::default())?.block_on(future))
}

async fn echo(mut questions: Receiver<u64>, answer: Sender<u64>) {
    let mut batch = Vec::new();
    while questions.recv_batch(&mut batch).await > 0 {
        for question in batch.drain(..) {
            answer
                .try_send(question + 1)
                .expect("room for all that are under way");
        }
    }
}

async fn ask_all(
    ask: Sender<u64>,
    mut answers: Receiver<u64>,
    round_trips: u64,
    outstanding: u64,
) -> u64 {
    let mut asked = 0;
    let mut sum = 0;
    let mut batch = Vec::new();
    let mut done = 0;
    while done < round_trips {
        while asked < round_trips && asked - done < outstanding {
            ask.try_send(asked)
                .expect("room for all that are under way");
            asked += 1;
        }
        done += answers.recv_batch(&mut batch).await as u64;
        sum += batch.drain(..).sum::<u64>();
    }
    sum
}
