//! What befalls the coordinator, and the topics and ids it knows.

use super::*;

impl World {
    /// The process is killed: what was not answered may be in the log or not.
    pub(super) fn crash(&mut self) {
        self.note(Event::Crash);
        while let Some(append) = self.appends.pop_front() {
            if self.chance.percent(50) {
                break;
            }
            self.store(append.records);
        }
        let waiting: Vec<_> = self.asked.keys().copied().collect();
        waiting.into_iter().for_each(|token| self.forget(token));
        for partition in &mut self.partitions {
            partition.forget_verifications();
        }
        self.verified.clear();
        self.reload();
    }

    /// The partition goes elsewhere, and comes back.
    pub(super) fn unload(&mut self) {
        self.note(Event::Unload);
        while !self.appends.is_empty() {
            self.end_an_append();
        }
        self.call(|machine, out| machine.on_unload(out));
        assert!(self.asked.is_empty(), "unloading leaves nobody waiting");
        self.reload();
    }

    pub(super) fn reload(&mut self) {
        self.appends.clear();
        self.producer_ids.clear();
        let markers = std::mem::take(&mut self.markers);
        for (mut markers, sent_to) in markers {
            // What was on its way to a topic does not reach another one of its name.
            let now_there = self.incarnations();
            markers.partitions.retain(|to| {
                let at = to.partition.0 as usize;
                self.partitions[at].exists && sent_to[at] == now_there[at]
            });
            if !markers.partitions.is_empty() && self.chance.percent(60) {
                self.stray_markers.push(markers);
            }
        }
        self.load();
    }

    pub(super) fn forget(&mut self, token: Token) {
        self.asked.remove(&token);
        self.verifications.remove(&token);
        for client in &mut self.clients {
            client.waits_for.take_if(|(of, _)| *of == token);
        }
    }

    pub(super) fn delete_or_create(&mut self) {
        let at = self.chance.below(PARTITIONS);
        let partition = &mut self.partitions[at];
        if partition.exists {
            partition.delete();
            // What is on its way to a topic does not reach another one of its name.
            let gone = topic_partition(at);
            for markers in &mut self.stray_markers {
                markers.partitions.retain(|to| *to != gone);
            }
            self.stray_markers
                .retain(|markers| !markers.partitions.is_empty());
            self.note(Event::Deleted);
        } else {
            partition.create();
        }
    }

    /// As if the id had been initialised some thirty thousand times.
    pub(super) fn exhaust_an_epoch(&mut self) {
        let id = self.chance.below(IDS);
        let under_way = self.asked.len() + self.appends.len() + self.markers.len();
        let recorded = self.recorded.get(&name(id));
        let recorded = recorded.filter(|of| of.state.may_expire() && under_way == 0);
        let Some(of) = recorded.filter(|of| of.producer.epoch.0 < i16::MAX - 2) else {
            return;
        };
        let value = TransactionLogValue {
            producer_id: of.producer.id.0,
            producer_epoch: i16::MAX - 2,
            transaction_status: State::Empty.id(),
            transaction_partitions: None,
            transaction_last_update_timestamp_ms: self.now.0,
            transaction_start_timestamp_ms: -1,
            ..Default::default()
        };
        let mut encoder = Encoder::new();
        encoder.i16(0);
        value.encode(&mut encoder, 0).unwrap();
        let keys = self.log.iter().map(|record| &record.key);
        let mut keys = keys.filter(|bytes| key(bytes) == name(id));
        let key = keys.next_back().expect("it is recorded").clone();
        let value = Some(encoder.finish().bytes);
        self.log.push(Record { key, value });
        // Whoever had the first epoch may still be there.
        let first = Producer {
            epoch: ProducerEpoch(0),
            ..of.producer
        };
        let asks = [id, id].map(|client| (client, Ask::Init(Some(first))));
        self.stray_asks.extend(asks);
        self.newest.remove(&id);
        self.fenced.retain(|(of, _)| *of != name(id));
        self.reload();
    }
}
