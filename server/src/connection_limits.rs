//! How many connections the node takes, in all and from one address (KIP-308, KIP-402).
//!
//! Shared by all shards and touched once a connection, so a lock is cheap enough here.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// See the module.
pub struct ConnectionLimits {
    total_max: usize,
    per_ip_max: usize,
    per_ip_overrides: BTreeMap<IpAddr, usize>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
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
    pub fn new(
        total_max: usize,
        per_ip_max: usize,
        per_ip_overrides: BTreeMap<IpAddr, usize>,
    ) -> ConnectionLimits {
        ConnectionLimits {
            total_max,
            per_ip_max,
            per_ip_overrides,
            taken: Arc::default(),
        }
    }

    /// A place for a connection from `address`, if there is one.
    pub fn admit(&self, address: IpAddr) -> Option<Place> {
        let per_ip_max = self
            .per_ip_overrides
            .get(&address)
            .unwrap_or(&self.per_ip_max);
        let mut taken = self.taken.lock().expect("no panic while the count changes");
        let from_address = taken.per_ip.get(&address).copied().unwrap_or(0);
        if taken.total >= self.total_max || from_address >= *per_ip_max {
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
        let limits = ConnectionLimits::new(3, 1, BTreeMap::from([(b, 2)]));
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
    }
}
