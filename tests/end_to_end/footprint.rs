//! A check of good sense, in every build: the benchmarks show the real bounds, which are 100 ms to
//! the first answer and 40 MiB resident when idle.

use std::time::Duration;

use chiplog_tests::node::{Node, Target};

#[test]
fn a_node_starts_at_once_and_stays_small() {
    const RESIDENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
    let node = Node::start();
    if node.target() == Target::Chiplog {
        let after = node.first_answer_after();
        assert!(
            after < Duration::from_secs(3),
            "first answer after {after:?}"
        );
        let resident = node.resident_bytes();
        assert!(
            resident < RESIDENT_BYTES_MAX,
            "{resident} bytes are resident"
        );
    }
}
