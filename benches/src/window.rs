//! The measured part of a run: from the end of the warm-up to the last answer.
//!
//! The first load thread that sees the warm-up end reads the costs, so that work and cost are
//! counted from the same moment.

use std::io;
use std::sync::OnceLock;

use crate::Error;
use crate::clock::Nanos;
use crate::process_cost::{ProcessCost, WorkCost};

/// When measuring begins, and what the processes had cost by then.
pub struct Window {
    opens_at: Nanos,
    broker_pid: Option<u32>,
    opened: OnceLock<Result<Opening, io::ErrorKind>>,
}

#[derive(Clone, Copy)]
struct Opening {
    at: Nanos,
    broker: ProcessCost,
    own: ProcessCost,
}

/// What the measured part cost.
pub struct Costs {
    /// Its length.
    pub seconds: f64,
    /// What the broker spent, if its process id was given.
    pub broker: Option<WorkCost>,
    /// What the load generator spent.
    pub generator: WorkCost,
}

impl Window {
    /// A window that opens at a given time.
    pub fn new(opens_at: Nanos, broker_pid: Option<u32>) -> Window {
        Window {
            opens_at,
            broker_pid,
            opened: OnceLock::new(),
        }
    }

    /// When it opens.
    pub fn opens_at(&self) -> Nanos {
        self.opens_at
    }

    /// Whether measuring has begun at `now`. The first call after the opening reads the costs.
    pub fn is_open(&self, now: Nanos) -> bool {
        if now < self.opens_at {
            return false;
        }
        self.opened
            .get_or_init(|| self.read(now).map_err(|error| error.kind()));
        true
    }

    /// Ends the window at `until`, by which so many records were dealt with.
    pub fn close(&self, until: Nanos, records: u64, payload_bytes: u64) -> Result<Costs, Error> {
        let doing = || format!("reading the cost of process {:?}", self.broker_pid);
        if records == 0 {
            let said = "nothing was counted: the topic is empty or the run too short";
            return Err(Error::Unusable(said.to_owned()));
        }
        let after = self.read(until).map_err(Error::io(doing()))?;
        let before = match self.opened.get() {
            Some(Ok(before)) => *before,
            Some(Err(kind)) => return Err(Error::io(doing())((*kind).into())),
            None => after,
        };
        let seconds = until.since(before.at).seconds();
        let cost =
            |before, after| WorkCost::between(before, after, seconds, records, payload_bytes);
        Ok(Costs {
            seconds,
            broker: self.broker_pid.map(|_| cost(before.broker, after.broker)),
            generator: cost(before.own, after.own),
        })
    }

    fn read(&self, at: Nanos) -> io::Result<Opening> {
        let broker = self
            .broker_pid
            .map(ProcessCost::of)
            .transpose()?
            .unwrap_or_default();
        Ok(Opening {
            at,
            broker,
            own: ProcessCost::of_self()?,
        })
    }
}
