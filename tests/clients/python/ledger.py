"""What both Python clients are checked with: every record that any member of the group saw."""

import collections
import threading

DEADLINE_SECONDS = 60
PARTITIONS = 6
KEYS = 24


def key_of(number):
    return b"key-%d" % (number % KEYS)


class Ledger:
    """Collects records from members that run side by side, and waits for states."""

    def __init__(self):
        self.changed = threading.Condition()
        self.records = []  # (member, partition, offset, key, value) in order of arrival
        self.assignments = {}  # member -> partitions

    def saw(self, member, partition, offset, key, value):
        with self.changed:
            self.records.append((member, partition, offset, key, value))
            self.changed.notify_all()

    def assigned(self, member, partitions):
        with self.changed:
            self.assignments[member] = sorted(partitions)
            self.changed.notify_all()

    def wait(self, what, condition):
        with self.changed:
            reached = self.changed.wait_for(condition, DEADLINE_SECONDS)
            assert reached, f"{what}: {len(self.records)} records, {self.assignments}"

    def wait_for_records(self, count):
        self.wait(f"{count} records", lambda: len(self.records) >= count)

    def wait_for_shares(self, *shares):
        """Waits until the members' shares have these sizes and cover every partition once."""

        def covered():
            owned = [p for partitions in self.assignments.values() for p in partitions]
            sizes = sorted(len(p) for p in self.assignments.values() if p)
            return sorted(owned) == list(range(PARTITIONS)) and sizes == sorted(shares)

        self.wait(f"shares of {shares}", covered)

    def members_that_saw_some_after(self, index):
        return {member for member, *_ in self.records[index:]}

    def check(self, numbers):
        """Each number was seen once, in order for each key, without a gap in any partition."""
        values = [int(value) for *_, value in self.records]
        assert sorted(values) == list(numbers), f"{len(values)} records for {len(numbers)}"
        by_key = collections.defaultdict(list)
        by_partition = collections.defaultdict(list)
        for _, partition, offset, key, value in self.records:
            assert key == key_of(int(value)), (key, value)
            by_key[key].append(int(value))
            by_partition[partition].append(offset)
        for key, values in by_key.items():
            assert values == sorted(values), f"{key}: {values}"
        for partition, offsets in by_partition.items():
            whole = list(range(offsets[0], offsets[0] + len(offsets)))
            assert offsets == whole, f"partition {partition}: {offsets}"
