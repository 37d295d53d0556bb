//! Deadlines that move far more often than they pass: a session's with every heartbeat.
//!
//! An alarm that is put off costs nothing: its entry in the order of deadlines stays where it is,
//! and is set anew when it is found to be early. Invariants: an alarm that is due at some time has
//! an entry at that time or before; no alarm has two.

use std::collections::BTreeSet;

use protocol::ids::TimestampMs;

/// One deadline, kept by whom it concerns.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Alarm {
    due: Option<TimestampMs>,
    entry: Option<TimestampMs>,
}

impl Alarm {
    /// Switches it off.
    pub fn clear(&mut self) {
        self.due = None;
    }
}

/// All deadlines, in order. `K` says whom each concerns.
#[derive(Clone, Debug)]
pub struct Alarms<K> {
    entries: BTreeSet<(TimestampMs, K)>,
}

impl<K: Ord> Default for Alarms<K> {
    fn default() -> Self {
        Self {
            entries: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Alarms<K> {
    /// Sets an alarm, earlier or later than it was.
    pub fn set(&mut self, alarm: &mut Alarm, at: TimestampMs, key: K) {
        alarm.due = Some(at);
        if alarm.entry.is_none_or(|entry| at < entry) {
            if let Some(later) = alarm.entry.replace(at) {
                self.entries.remove(&(later, key.clone()));
            }
            self.entries.insert((at, key));
        }
    }

    /// Takes an alarm away: whom it concerns is gone.
    pub fn forget(&mut self, alarm: &mut Alarm, key: K) {
        alarm.due = None;
        if let Some(at) = alarm.entry.take() {
            self.entries.remove(&(at, key));
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// When there is something to look at.
    pub fn next(&self) -> Option<TimestampMs> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// Takes out an entry whose time has come.
    pub fn pop(&mut self, now: TimestampMs) -> Option<(TimestampMs, K)> {
        self.next().filter(|at| *at <= now)?;
        self.entries.pop_first()
    }

    /// Whether the alarm to which a popped entry belongs rings; it is off then. One that was put
    /// off gets a new entry.
    pub fn rings(
        &mut self,
        alarm: &mut Alarm,
        entry: TimestampMs,
        now: TimestampMs,
        key: K,
    ) -> bool {
        if alarm.entry != Some(entry) {
            return false;
        }
        alarm.entry = None;
        match alarm.due {
            None => false,
            Some(due) if due <= now => {
                alarm.due = None;
                true
            }
            Some(due) => {
                self.set(alarm, due, key);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_is_put_off_rings_at_its_last_time_and_once() {
        let mut alarms = Alarms::default();
        let mut alarm = Alarm::default();
        let mut rang = Vec::new();
        alarms.set(&mut alarm, TimestampMs(10), ());
        alarms.set(&mut alarm, TimestampMs(15), ());
        alarms.set(&mut alarm, TimestampMs(12), ());
        for now in (0..30).map(TimestampMs) {
            while let Some((entry, ())) = alarms.pop(now) {
                if alarms.rings(&mut alarm, entry, now, ()) {
                    rang.push(now.0);
                }
            }
        }
        assert_eq!(rang, [12]);
        assert_eq!(alarms.next(), None);
    }

    #[test]
    fn an_alarm_leaves_nothing_behind() {
        let mut alarms = Alarms::default();
        let mut alarm = Alarm::default();
        for at in [50, 40, 60, 30] {
            alarms.set(&mut alarm, TimestampMs(at), ());
            assert_eq!(alarms.entries.len(), 1);
        }
        alarms.forget(&mut alarm, ());
        assert_eq!((alarm, alarms.entries.len()), (Alarm::default(), 0));
    }

    #[test]
    fn an_alarm_can_be_moved_forward_and_switched_off() {
        let mut alarms = Alarms::default();
        let mut alarm = Alarm::default();
        alarms.set(&mut alarm, TimestampMs(10), ());
        alarms.set(&mut alarm, TimestampMs(5), ());
        assert_eq!(alarms.next(), Some(TimestampMs(5)));
        let (entry, ()) = alarms.pop(TimestampMs(5)).expect("its time has come");
        assert!(alarms.rings(&mut alarm, entry, TimestampMs(5), ()));
        alarms.set(&mut alarm, TimestampMs(20), ());
        alarm.clear();
        while let Some((entry, ())) = alarms.pop(TimestampMs(100)) {
            assert!(!alarms.rings(&mut alarm, entry, TimestampMs(100), ()));
        }
    }
}
