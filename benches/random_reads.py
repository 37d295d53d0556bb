"""Fetches random batches from a running node and compares them with the segments' files.

Usage: random_reads.py HOST:PORT LOG_DIRECTORY TOPIC COUNT

Every segment but the last of each partition holds batches as they were appended: what a fetch at a
segment's base offset gives must begin with the file's bytes. Prints the times of the fetches.
"""

import os
import random
import socket
import struct
import sys
import time


def text(value):
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def receive(connection, size):
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        assert part, "the node closed the connection"
        parts += part
    return parts


def fetch(connection, topic, partition, offset):
    """One batch by Fetch version 4."""
    # API, version, correlation, client; replica, wait, least and most bytes, isolation; one topic.
    header = struct.pack(">hhi", 1, 4, 7) + text("random-reads")
    body = struct.pack(">iiiibi", -1, 0, 1, 1 << 20, 0, 1) + text(topic)
    body += struct.pack(">iiqi", 1, partition, offset, 1)
    request = header + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", receive(connection, 4))
    answer = receive(connection, size)
    # Correlation, throttle time, number of topics; the topic; number of partitions; the partition.
    at = 4 + 4 + 4 + 2 + len(topic) + 4
    found, error = struct.unpack_from(">ih", answer, at)
    assert (found, error) == (partition, 0), (found, error)
    at += 4 + 2 + 8 + 8
    (aborted,) = struct.unpack_from(">i", answer, at)
    at += 4 + 16 * max(aborted, 0)
    (size,) = struct.unpack_from(">i", answer, at)
    return answer[at + 4 : at + 4 + size]


def main():
    address, directory, topic, count = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    segments = []
    for name in sorted(os.listdir(directory)):
        found, _, partition = name.rpartition("-")
        if found != topic:
            continue
        path = os.path.join(directory, name)
        bases = sorted(int(f[:20]) for f in os.listdir(path) if f.endswith(".log"))
        segments += [(int(partition), base) for base in bases[:-1]]
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times_ms = []
    for partition, base in random.Random(1).sample(segments, min(int(count), len(segments))):
        began = time.perf_counter()
        records = fetch(connection, topic, partition, base)
        times_ms.append((time.perf_counter() - began) * 1000)
        path = os.path.join(directory, f"{topic}-{partition}", f"{base:020}.log")
        with open(path, "rb") as file:
            stored = file.read()
        assert len(records) > 61 and stored.startswith(records[: len(stored)]), (partition, base)
    times_ms.sort()
    rank = lambda part: times_ms[int(part * (len(times_ms) - 1))]
    print(
        f"segments: {len(segments)}; {len(times_ms)} fetches at random ones are as in their files; "
        f"ms: median {rank(0.5):.2f}, p99 {rank(0.99):.2f}, max {rank(1):.2f}"
    )


main()
