//! Which brokers a new partition's replicas go to.
//!
//! Racks take turns, the first replica is on a broker that is not fenced, and from a random
//! start each next partition begins one broker further, so that leaders spread evenly.

use protocol::ids::BrokerId;

use crate::decision::Draw;
use crate::image::Image;

/// Replicas for `partitions` partitions, or why there are none, in Kafka's words.
pub fn place(
    image: &Image,
    partitions: i32,
    replication_factor: i16,
    draw: &mut dyn Draw,
) -> Result<Vec<Vec<BrokerId>>, String> {
    if replication_factor <= 0 {
        return Err(format!(
            "Invalid replication factor {replication_factor}: the replication factor must be positive."
        ));
    }
    let brokers = by_turns(image);
    let is_unfenced = |id: &BrokerId| image.broker(*id).is_some_and(|broker| !broker.fenced);
    if !brokers.iter().any(is_unfenced) {
        return Err("All brokers are currently fenced.".into());
    }
    let count = usize::try_from(replication_factor).expect("positive");
    if count > brokers.len() {
        return Err(format!(
            "The target replication factor of {replication_factor} cannot be reached because only \
             {} broker(s) are registered.",
            brokers.len()
        ));
    }
    let start = (draw.draw() % brokers.len() as u64) as usize;
    let placed = (0..usize::try_from(partitions).unwrap_or(0)).map(|partition| {
        let turn = |step: usize| brokers[(start + partition + step) % brokers.len()];
        let order = || (0..brokers.len()).map(turn);
        let first = order().find(is_unfenced).expect("one is not fenced");
        let others = order().filter(|id| *id != first);
        let unfenced = others.clone().filter(is_unfenced);
        let fenced = others.filter(|id| !is_unfenced(id));
        std::iter::once(first)
            .chain(unfenced)
            .chain(fenced)
            .take(count)
            .collect()
    });
    Ok(placed.collect())
}

/// All brokers, the racks taking turns: a, b, c, a, b, a for racks of three, two and one.
fn by_turns(image: &Image) -> Vec<BrokerId> {
    let mut racks: std::collections::BTreeMap<Option<&str>, Vec<BrokerId>> = Default::default();
    for broker in image.brokers() {
        racks
            .entry(broker.rack.as_deref())
            .or_default()
            .push(broker.id);
    }
    let deepest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..deepest)
        .flat_map(|turn| {
            racks
                .values()
                .filter_map(move |rack| rack.get(turn))
                .copied()
        })
        .collect()
}
