//! What was said while a test ran: warnings and errors of the log, and errors that were returned.

use crate::fault;
use std::cell::RefCell;
use std::fmt::{Display, Write};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static HEARD: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").expect("a string takes all");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        say(&line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An error that was returned.
pub(super) fn say(what: &dyn Display) {
    HEARD.with_borrow_mut(|heard| writeln!(heard, "{what}").expect("a string takes all"));
}

/// What `work` gives, and what was said meanwhile. Everything happens on this thread.
pub(super) fn during<T>(work: impl FnOnce() -> T) -> (T, String) {
    HEARD.take();
    fault::watch(None);
    let done = tracing::subscriber::with_default(Listener, work);
    fault::unwatch();
    (done, HEARD.take())
}
