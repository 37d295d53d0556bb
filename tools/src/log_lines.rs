//! Log lines in Kafka's format: `[2026-11-22 14:00:00,123] INFO message (target)`, on standard
//! output. `RUST_LOG` chooses what is logged; the default is `info`.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

struct KafkaLine;

impl<S, N> FormatEvent<S, N> for KafkaLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = chrono::Local::now().format("%Y-%m-%d %H:%M:%S,%3f");
        write!(line, "[{now}] {} ", event.metadata().level())?;
        context.format_fields(line.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(line, " {fields}")?;
            }
        }
        writeln!(line, " ({})", event.metadata().target().replace("::", "."))
    }
}

/// From now on, the process logs; what is logged can be changed by whoever may change the node's
/// settings.
pub fn begin() {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (given, filter) = match EnvFilter::try_new(&given) {
        Ok(filter) if !given.is_empty() => (given, filter),
        _ => ("info".to_owned(), EnvFilter::new("info")),
    };
    let lines = tracing_subscriber::fmt()
        .event_format(KafkaLine)
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = lines.reload_handle();
    lines.init();
    server::log_levels::on_change(&given, move |directives| {
        if let Err(error) = handle.reload(EnvFilter::new(directives)) {
            tracing::error!("the log levels cannot be changed: {error}");
        }
    });
}
