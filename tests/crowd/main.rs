//! Shows: a group of 20 members over 100 partitions, whose members join, leave and crash at random,
//! never has a partition in two hands, never goes back, and loses and (in transactions) doubles
//! no record; neither does one whose members also stand still for longer than a session lasts.
//!
//! Members are processes, so that a crash is a `kill -9`. What they write down is judged by
//! `verdict`; beside them an observer asks for the committed offsets all the time.
//!
//! `CHIPLOG_CROWD_SECONDS` says how long members come and go, `CHIPLOG_CROWD_SEED` in which order.

mod chance;
mod crowd;
mod verdict;

use std::time::Duration;

use chiplog_tests::node::{Node, Setup};

use crowd::{Crowd, How};

/// How long members come and go in `cargo xtask check`.
const SECONDS: u64 = 15;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|e| panic!("{variable}={text}: {e}")),
    )
}

fn a_crowd_comes_and_goes(how: How, members_stand_still: bool) {
    let seed = number_of("CHIPLOG_CROWD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let seconds = number_of("CHIPLOG_CROWD_SECONDS").unwrap_or(SECONDS);
    println!("CHIPLOG_CROWD_SEED={seed} CHIPLOG_CROWD_SECONDS={seconds}");
    let node = Node::start_with(
        Setup::new()
            .set("group.initial.rebalance.delay.ms", "500")
            .set(
                "transaction.abort.timed.out.transaction.cleanup.interval.ms",
                "500",
            ),
    );
    let mut crowd = Crowd::gather(&node, how, seed);
    if members_stand_still {
        crowd.let_members_stand_still();
    }
    crowd.come_and_go(Duration::from_secs(seconds));
    crowd.catch_up_and_leave();
    crowd.judge();
}

#[test]
fn a_crowd_that_commits() {
    a_crowd_comes_and_goes(How::Commits, false);
}

#[test]
fn a_crowd_that_copies_in_transactions() {
    a_crowd_comes_and_goes(How::Transactions, false);
}

#[test]
fn a_crowd_that_stands_still_in_transactions() {
    a_crowd_comes_and_goes(How::Transactions, true);
}
