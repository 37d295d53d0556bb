"""What both Python clients' copies are checked with, whichever of them made and read the copies."""

import collections

from ledger import key_of

# Every third transaction is aborted, and its records are copied again.
ABORT_EVERY = 3


def check(count, aborted, committed, uncommitted):
    """Committed copies are seen once each and in order for each key; aborted ones are in the log.

    `committed` and `uncommitted` are what a reader of each isolation level saw: keys with values.
    """
    values = [int(value) for _, value in committed]
    assert sorted(values) == list(range(count)), f"{len(values)} copies for {count}"
    by_key = collections.defaultdict(list)
    for key, value in committed:
        assert key == key_of(int(value)), (key, value)
        by_key[key].append(int(value))
    for key, values in by_key.items():
        assert values == sorted(values), f"{key}: {values}"
    # Without aborted records the check above would show nothing.
    assert aborted > 0 and len(uncommitted) == count + aborted, f"{len(uncommitted)}, {aborted} aborted"
