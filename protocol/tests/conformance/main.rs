//! Whether the messages of this crate are Kafka's: against random frames made from the layouts,
//! against frames that Kafka's own code wrote, and against another implementation.

mod any_message;
mod budget;
mod golden;
mod in_frame;
mod layout;
mod oracle;
mod record_sets;
mod refusals;
mod round_trip;
mod seed;
mod versions;
