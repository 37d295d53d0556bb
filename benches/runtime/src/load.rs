//! The load generator: connections that send frames and wait for answers, either each keeping a
//! number of frames in flight, or on a fixed schedule whatever the server does (latency is then
//! counted from the scheduled time).

use crate::append_frame::{ANSWER_BYTES, build};
use crate::cpu_time;
use bytes::Bytes;
use hdrhistogram::Histogram;
use ring::buffer::Buffer;
use ring::net::{Stream, connect};
use ring::{spawn, timer};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// The server.
    #[arg(long)]
    pub to: SocketAddr,
    /// Its process, to read its CPU time.
    #[arg(long)]
    pub server_pid: u32,
    /// Core to run on.
    #[arg(long, default_value_t = 1)]
    pub core: usize,
    /// Bytes a frame, without the length in front.
    #[arg(long, default_value_t = 1024)]
    pub frame_bytes: usize,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Frames in flight on each connection (without --rate).
    #[arg(long, default_value_t = 1)]
    pub depth: usize,
    /// Frames a second over all connections, on a fixed schedule.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Frames to send in all.
    #[arg(long, default_value_t = 100_000)]
    pub frames: u64,
}

struct Run {
    frame: Bytes,
    expected_answer: [u8; ANSWER_BYTES],
    left_to_send: Cell<u64>,
    left_to_answer: Cell<u64>,
    latency_ns: RefCell<Histogram<u64>>,
    done: ring::event::Event,
}

pub fn run(options: &LoadOptions) -> Result<(), Box<dyn Error>> {
    ring::affinity::pin_to_core(options.core)?;
    let frame = build(options.frame_bytes);
    let run = Rc::new(Run {
        expected_answer: *frame.last_chunk().expect("a frame ends with its CRC"),
        frame: Bytes::from(frame),
        left_to_send: Cell::new(options.frames),
        left_to_answer: Cell::new(options.frames),
        latency_ns: RefCell::new(Histogram::new(3)?),
        done: ring::event::Event::new(),
    });
    ring::Runtime::new(ring::Options::default())?.block_on(drive(options, run))
}

async fn drive(options: &LoadOptions, run: Rc<Run>) -> Result<(), Box<dyn Error>> {
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        let stream = connect(options.to).await?;
        stream.set_nodelay()?;
        streams.push(stream);
    }
    let (before, start) = (CpuTimes::now(options)?, Instant::now());
    for (i, stream) in streams.into_iter().enumerate() {
        match options.rate {
            Some(rate) => {
                let every = Duration::from_secs(1).mul_f64(1.0 / rate as f64);
                let first = start + every * i as u32;
                let sent = Rc::new(RefCell::new(VecDeque::new()));
                let every = every * options.connections as u32;
                spawn(
                    run.clone()
                        .send_on_schedule(stream.clone(), first, every, sent.clone()),
                );
                spawn(run.clone().take_answers(stream, sent));
            }
            None => spawn(run.clone().keep_in_flight(stream, options.depth)),
        }
    }
    if options.rate.is_none() {
        // Waking a sleeping process costs the one that wakes it, here the server, an interrupt of
        // another core for most answers; over a network it would not. So do not sleep.
        spawn(run.clone().stay_awake());
    }
    run.done.wait().await;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = CpuTimes::now(options)? - before;
    let latency = run.latency_ns.borrow();
    println!(
        "frames={} seconds={seconds:.3} server_cpu_seconds={:.3} server_us_per_frame={:.3} \
         server_s_per_gb={:.3} mb_per_second={:.1} p50_us={} p99_us={} p999_us={} \
         others_percent={:.0} answer={:08x}",
        options.frames,
        cpu.server,
        cpu.server * 1e6 / options.frames as f64,
        cpu.server * 1e9 / (options.frames * options.frame_bytes as u64) as f64,
        (options.frames * options.frame_bytes as u64) as f64 / 1e6 / seconds,
        latency.value_at_quantile(0.5) / 1000,
        latency.value_at_quantile(0.99) / 1000,
        latency.value_at_quantile(0.999) / 1000,
        (cpu.machine - cpu.server - cpu.load).max(0.0) / seconds * 100.0,
        u32::from_be_bytes(run.expected_answer),
    );
    Ok(())
}

/// Seconds of CPU time.
struct CpuTimes {
    server: f64,
    load: f64,
    machine: f64,
}

impl CpuTimes {
    fn now(options: &LoadOptions) -> std::io::Result<Self> {
        Ok(Self {
            server: cpu_time::of_process(options.server_pid)?.as_secs_f64(),
            load: cpu_time::of_process(std::process::id())?.as_secs_f64(),
            machine: cpu_time::of_machine()?.as_secs_f64(),
        })
    }
}

impl std::ops::Sub for CpuTimes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            server: self.server - before.server,
            load: self.load - before.load,
            machine: self.machine - before.machine,
        }
    }
}

impl Run {
    async fn stay_awake(self: Rc<Self>) {
        while self.left_to_answer.get() > 0 {
            ring::yield_to_end_of_turn().await;
        }
    }

    async fn keep_in_flight(self: Rc<Self>, stream: Stream, depth: usize) {
        let mut buffer = Buffer::new();
        let mut in_flight = VecDeque::new();
        let mut may_send = depth;
        loop {
            while may_send > 0 && self.take_one() {
                may_send -= 1;
                in_flight.push_back(Instant::now());
                stream
                    .send(self.frame.clone())
                    .await
                    .expect("the server takes frames");
            }
            if in_flight.is_empty() {
                return;
            }
            let answers;
            (answers, buffer) = self.receive_answers(&stream, buffer).await;
            for _ in 0..answers {
                let sent = in_flight.pop_front().expect("one answer a frame");
                self.answered(sent);
            }
            may_send += answers;
        }
    }

    async fn send_on_schedule(
        self: Rc<Self>,
        stream: Stream,
        first: Instant,
        every: Duration,
        sent: Rc<RefCell<VecDeque<Instant>>>,
    ) {
        let mut due = first;
        while self.take_one() {
            timer::sleep_until(due).await;
            sent.borrow_mut().push_back(due);
            stream
                .send(self.frame.clone())
                .await
                .expect("the server takes frames");
            due += every;
        }
    }

    async fn take_answers(self: Rc<Self>, stream: Stream, sent: Rc<RefCell<VecDeque<Instant>>>) {
        let mut buffer = Buffer::new();
        while self.left_to_answer.get() > 0 {
            let answers;
            (answers, buffer) = self.receive_answers(&stream, buffer).await;
            for _ in 0..answers {
                let due = sent.borrow_mut().pop_front().expect("one answer a frame");
                self.answered(due);
            }
        }
    }

    async fn receive_answers(&self, stream: &Stream, buffer: Buffer) -> (usize, Buffer) {
        let (received, mut buffer) = stream.recv(buffer).await;
        assert_ne!(
            received.expect("the server answers"),
            0,
            "the server has gone"
        );
        let whole = buffer.len() / ANSWER_BYTES;
        for answer in buffer[..whole * ANSWER_BYTES].chunks(ANSWER_BYTES) {
            assert_eq!(answer, self.expected_answer, "wrong checksum");
        }
        buffer.consume(whole * ANSWER_BYTES);
        (whole, buffer)
    }

    fn take_one(&self) -> bool {
        let left = self.left_to_send.get();
        self.left_to_send.set(left.saturating_sub(1));
        left > 0
    }

    fn answered(&self, sent: Instant) {
        let nanoseconds = sent.elapsed().as_nanos() as u64;
        self.latency_ns
            .borrow_mut()
            .record(nanoseconds)
            .expect("it grows as needed");
        self.left_to_answer.set(self.left_to_answer.get() - 1);
        if self.left_to_answer.get() == 0 {
            self.done.notify();
        }
    }
}
