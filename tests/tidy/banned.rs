//! Words and calls that must not be in the code, and what to write in their place.
//!
//! The rules are put together from pieces, so that this file does not break them.

use crate::sources::{Source, all, assert_none};

/// A piece of code that is not wanted in some files.
struct Ban {
    /// What must not be there.
    piece: String,
    /// What to do instead, or why.
    instead: &'static str,
    /// Which files the rule is for.
    applies: fn(&Source) -> bool,
    /// Whether tests may do it.
    tests_may: bool,
    /// Files that may do it all the same, each for the reason beside it.
    except: &'static [&'static str],
}

fn everywhere(_: &Source) -> bool {
    true
}

/// A measurement takes its time: the load harness paces its load and takes samples.
fn but_for_the_load_harness(source: &Source) -> bool {
    !source.path.starts_with("benches/src/")
}

fn in_tests(source: &Source) -> bool {
    source.is_test() && !source.path.starts_with("benches/")
}

/// What runs on shards: a blocking call there stops a core.
fn on_shards(source: &Source) -> bool {
    [
        "server/src/",
        "replication/src/",
        "controller/src/",
        "coordinator/src/",
    ]
    .iter()
    .any(|folder| source.path.starts_with(folder))
}

/// Decisions: no clock, no thread, no socket, no file.
fn pure(source: &Source) -> bool {
    ["replication/src/", "controller/src/", "coordinator/src/"]
        .iter()
        .any(|folder| source.path.starts_with(folder))
}

/// What a node consists of: it logs, it does not print.
fn in_node(source: &Source) -> bool {
    ["protocol/src/", "ring/src/", "engine/src/"]
        .iter()
        .any(|folder| source.path.starts_with(folder))
        || on_shards(source)
}

fn bans() -> Vec<Ban> {
    let ban = |pieces: [&str; 2], instead, applies| Ban {
        piece: pieces.concat(),
        instead,
        applies,
        tests_may: false,
        except: &[],
    };
    vec![
        ban(
            ["#[ign", "ore"],
            "a test that cannot run is no test",
            everywhere,
        ),
        ban(["to", "do!("], "write it, or open an issue", everywhere),
        ban(
            ["unimpl", "emented!("],
            "write it, or a typed error",
            everywhere,
        ),
        ban(["db", "g!("], "tracing, or nothing", everywhere),
        ban(
            ["thread::", "sleep"],
            "wait for the state: chiplog_tests::state::reach, ring::timer",
            but_for_the_load_harness,
        ),
        Ban {
            except: &["tests/src/state.rs"],
            ..ban(
                ["park_", "timeout"],
                "chiplog_tests::state::reach",
                in_tests,
            )
        },
        Ban {
            tests_may: true,
            // Before the shards run, and on the control thread, a call may block.
            except: &["server/src/config/load.rs"],
            ..ban(
                ["std::f", "s"],
                "ring::file, or ring::offload for what is rare",
                on_shards,
            )
        },
        Ban {
            tests_may: true,
            ..ban(["Instant::", "now"], "take `now` as a parameter", pure)
        },
        Ban {
            tests_may: true,
            ..ban(["SystemTime::", "now"], "take `now` as a parameter", pure)
        },
        ban(["std::th", "read"], "decisions have no threads", pure),
        ban(["std::n", "et"], "decisions have no sockets", pure),
        ban(["std::", "sync::Mutex"], "decisions have one owner", pure),
        ban(["tok", "io::"], "decisions have no runtime", pure),
        Ban {
            tests_may: true,
            ..ban([" print", "ln!("], "tracing", in_node)
        },
        Ban {
            tests_may: true,
            ..ban(["eprint", "ln!("], "tracing", in_node)
        },
    ]
}

#[test]
fn nothing_banned_is_in_the_code() {
    let sources = all(".rs");
    let mut faults = Vec::new();
    for ban in bans() {
        let mut used = Vec::new();
        for source in sources.iter().filter(|source| (ban.applies)(source)) {
            if ban.tests_may && source.is_test() {
                continue;
            }
            let text = if ban.tests_may {
                source.without_tests()
            } else {
                &source.text
            };
            for (number, code) in Source::code(text) {
                if !code.contains(&ban.piece) {
                    continue;
                }
                if ban.except.contains(&source.path.as_str()) {
                    used.push(source.path.as_str());
                } else {
                    let Ban { piece, instead, .. } = &ban;
                    faults.push(format!("{}:{number}: {piece}: {instead}", source.path));
                }
            }
        }
        for listed in ban.except {
            if !used.contains(listed) {
                faults.push(format!(
                    "{listed}: has no {} any more, unlist it",
                    ban.piece
                ));
            }
        }
    }
    assert_none("banned words and calls", &faults);
}

/// Where `unsafe` may be, apart from ring/, which speaks to the kernel.
const UNSAFE: &[&str] = &[
    // The map of an index.
    "engine/src/index_map.rs",
    // What `ring` is compared with: loops on bare system calls.
    "benches/runtime/src/cpu_time.rs",
    "benches/runtime/src/serve_epoll.rs",
    "benches/runtime/src/serve_tokio_uring.rs",
];

#[test]
fn unsafe_is_in_ring_and_in_the_map_of_an_index_only() {
    let word = ["uns", "afe"].concat();
    let forms = ["{", "fn ", "impl ", "extern ", "trait "].map(|next| format!("{word} {next}"));
    let mut faults = Vec::new();
    let mut used = Vec::new();
    for source in all(".rs") {
        if source.path.starts_with("ring/") {
            continue;
        }
        for (number, code) in Source::code(&source.text) {
            if !forms.iter().any(|form| code.contains(form.as_str())) {
                continue;
            }
            if let Some(listed) = UNSAFE.iter().find(|listed| **listed == source.path) {
                used.push(*listed);
            } else {
                faults.push(format!("{}:{number}: {word}: move it to ring", source.path));
            }
        }
    }
    let unused = UNSAFE.iter().filter(|listed| !used.contains(listed));
    faults.extend(unused.map(|listed| format!("{listed}: has no {word} any more, unlist it")));
    assert_none("unsafe code", &faults);
}

#[test]
fn no_file_names_a_place_of_somebodys_machine() {
    let places = [
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/ro", "ot/"].concat(),
    ];
    let mut faults = Vec::new();
    for extension in [
        ".rs",
        ".md",
        ".toml",
        ".py",
        ".java",
        ".xml",
        ".properties",
        "run",
    ] {
        for source in all(extension) {
            for (index, line) in source.text.lines().enumerate() {
                if let Some(place) = places.iter().find(|place| line.contains(place.as_str())) {
                    faults.push(format!("{}:{}: {place}", source.path, index + 1));
                }
            }
        }
    }
    assert_none("paths of one machine", &faults);
}
