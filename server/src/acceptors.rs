//! The listeners that are open, which follow `listeners` as it is set at run time (KIP-226): one with a
//! new name is opened, one whose name has gone is closed with its connections. One that keeps its name
//! stays as it is, whatever its address, as in Kafka.
//!
//! Lives on the metadata shard, which accepts. A connection knows its listener by number; numbers and
//! names are for every shard, and a name keeps its number.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::config::ServerConfig;
use crate::listen::{self, Accepting};
use crate::shard::{Shard, ShardId};

/// How often the settings are looked at.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(1);

/// The names of all listeners that ever were open.
pub struct ListenerNames(RwLock<Vec<Arc<str>>>);

/// A listener that is open.
struct Open {
    name: String,
    number: usize,
    accepting: Accepting,
}

impl ListenerNames {
    /// Those of the configuration, in its order.
    pub fn new(config: &ServerConfig) -> ListenerNames {
        let names = config.listeners.iter().map(|one| one.name.as_str().into());
        ListenerNames(RwLock::new(names.collect()))
    }

    /// The name of the listener with this number.
    pub fn name(&self, number: usize) -> Arc<str> {
        self.0.read().expect("nobody panics with it")[number].clone()
    }

    fn number(&self, name: &str) -> usize {
        let mut names = self.0.write().expect("nobody panics with it");
        let known = names.iter().position(|known| **known == *name);
        known.unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        })
    }
}

/// Accepts on the listeners of the configuration, and follows what is set at run time.
pub fn start(shard: &Rc<Shard>, bound: Vec<ring::net::Listener>) {
    let listeners = shard.config.listeners.iter().zip(bound);
    let open = listeners.map(|(listener, socket)| accept(shard, &listener.name, socket));
    ring::spawn(follow(shard.clone(), open.collect()));
}

fn accept(shard: &Rc<Shard>, name: &str, socket: ring::net::Listener) -> Open {
    if let Ok(address) = socket.local_addr() {
        tracing::info!("listening on {name}://{address}");
    }
    let number = shard.node.listener_names.number(name);
    Open {
        name: name.to_owned(),
        number,
        accepting: listen::start_accepting(shard, number, socket),
    }
}

async fn follow(shard: Rc<Shard>, mut open: Vec<Open>) {
    let mut failed = HashSet::new();
    while !shard.is_stopping() {
        let live = shard.live();
        open.retain(|one| {
            let stays = live.listeners.iter().any(|live| live.name == one.name);
            if !stays {
                close(&shard, one);
            }
            stays
        });
        failed.retain(|text: &String| live.listeners.iter().any(|live| live.to_string() == *text));
        for listener in &live.listeners {
            if open.iter().any(|one| one.name == listener.name) {
                continue;
            }
            let (config, wanted) = (live.clone(), listener.clone());
            match ring::offload_slow(move || listen::bind_one(&wanted, &config)).await {
                Ok(socket) => open.push(accept(&shard, &listener.name, socket)),
                Err(error) if failed.insert(listener.to_string()) => {
                    tracing::error!("{error}; it is tried again");
                }
                Err(_) => {}
            }
        }
        ring::timer::sleep(SETTINGS_INTERVAL).await;
    }
}

fn close(shard: &Rc<Shard>, gone: &Open) {
    tracing::info!("the listener {} is closed", gone.name);
    gone.accepting.end();
    let number = gone.number;
    for to in 0..shard.count() {
        shard.post_to(ShardId(to), move |there| there.close_connections_of(number));
    }
}
