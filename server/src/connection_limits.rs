//! How many connections the node takes, in all and from one address (KIP-308, KIP-402).
//!
//! Shared by all shards and touched once a connection, so a lock is cheap enough here.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::config::ServerConfig;

/// See the module.
pub struct ConnectionLimits {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    total_max: usize,
    per_ip_max: usize,
    per_ip_overrides: BTreeMap<IpAddr, usize>,
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// One connection's place; dropped, it is free again.
pub struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl ConnectionLimits {
    /// Limits as configured: `max.connections`, `max.connections.per.ip` and its overrides.
    pub fn new(config: &ServerConfig) -> ConnectionLimits {
        let taken = Arc::default();
        let limits = ConnectionLimits { taken };
        limits.set(config);
        limits
    }

    /// From now on these limits hold; connections that are there stay.
    pub fn set(&self, config: &ServerConfig) {
        let mut taken = self.taken.lock().expect("no panic while the count changes");
        taken.total_max = config.max_connections;
        taken.per_ip_max = config.max_connections_per_ip;
        taken
            .per_ip_overrides
            .clone_from(&config.max_connections_per_ip_overrides);
    }

    /// A place for a connection from `address`, if there is one.
    pub fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().expect("no panic while the count changes");
        let per_ip_max = taken.per_ip_overrides.get(&address);
        let per_ip_max = *per_ip_max.unwrap_or(&taken.per_ip_max);
        let from_address = taken.per_ip.get(&address).copied().unwrap_or(0);
        if taken.total >= taken.total_max || from_address >= per_ip_max {
            return None;
        }
        taken.total += 1;
        taken.per_ip.insert(address, from_address + 1);
        Some(Place {
            address,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().expect("no panic while the count changes");
        taken.total -= 1;
        match taken.per_ip.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.per_ip.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let a = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
        let b = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let config = |total: &'static str| {
            let limits = [
                ("max.connections", total),
                ("max.connections.per.ip", "1"),
                ("max.connections.per.ip.overrides", "127.0.0.2:2"),
            ];
            ServerConfig::local(limits).unwrap()
        };
        let limits = ConnectionLimits::new(&config("3"));
        let first = limits.admit(a);
        assert!(first.is_some());
        assert!(limits.admit(a).is_none(), "one place for each address");
        let others = [limits.admit(b), limits.admit(b)];
        assert!(others.iter().all(Option::is_some), "two for this one");
        drop(first);
        let again = limits.admit(a);
        assert!(again.is_some());
        assert!(
            limits.admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).is_none(),
            "three in all"
        );
        limits.set(&config("4"));
        assert!(
            limits.admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).is_none(),
            "it has one"
        );
        let c = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
        assert!(limits.admit(c).is_some(), "now four in all");
    }
}
