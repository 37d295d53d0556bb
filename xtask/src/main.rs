//! Project chores: `cargo xtask check`, `cargo xtask gen-messages`.
fn main() {}
