#!/bin/bash
# Many partitions on one node, with a release build of chiplog:
#   benches/scale.sh partitions [COUNT]   make COUNT (10,000) of them, stop, start again, sit idle
#   benches/scale.sh sparse [COUNT]       COUNT (1,000) with segments of 1 GiB, nearly all holes; kill -9, start
#   benches/scale.sh segments [COUNT]     100 partitions of COUNT (1,000) segments each, of one record;
#                                         start, read them all, and random ones; again under 1,024 files
# Ends only what it has started; its data goes into a directory of its own under target/.
set -euo pipefail
what=${1:?partitions, sparse or segments}
binary=${CHIPLOG:-target/release/chiplog}
port=${PORT:-29871}
mkdir -p target
data=$(mktemp -d target/scale-XXXXXX)
pid=
finish() { if [ $? -ne 0 ]; then grep -E "WARN|ERROR" "$data/out" | tail -5 || true; fi; if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$data"; }
trap finish EXIT

start() {
    : >"$data/out"
    "$binary" serve --override "listeners=PLAINTEXT://127.0.0.1:$port" --override "log.dirs=$data/log" >"$data/out" 2>&1 &
    pid=$!
    until grep -q ' started (' "$data/out"; do kill -0 "$pid"; sleep 0.02; done
    grep -o 'started (.*)' "$data/out"
}
resident() { grep VmRSS "/proc/$pid/status"; }
produce() { "$binary" bench produce --bootstrap-server "127.0.0.1:$port" --create-topic --timeout 300 "$@"; }

start
case $what in
partitions)
    count=${2:-10000}
    each=$((count < 1000 ? count : 1000))
    began=$(date +%s.%N)
    for topic in $(seq $((count / each))); do
        produce --topic "t$topic" --partitions "$each" --record-size 100 --records $((2 * each)) >"$data/bench"
    done
    echo "made and written to, s: $(echo "$(date +%s.%N) - $began" | bc)"
    resident
    began=$(date +%s.%N); kill "$pid"; wait "$pid"
    echo "stopped, s: $(echo "$(date +%s.%N) - $began" | bc)"
    start
    sleep 2
    resident
    echo "open files: $(ls "/proc/$pid/fd" | wc -l)"
    ;;
sparse)
    count=${2:-1000}
    produce --topic sparse --partitions "$count" --record-size 1000 --batch-bytes 16384 --records $((300 * count)) >"$data/bench"
    sleep 6 # A checkpoint is written.
    kill -9 "$pid"; wait "$pid" || true
    for segment in "$data"/log/sparse-*/00000000000000000000.log; do truncate -s 1G "$segment"; done
    start
    resident
    echo "segments cut: $(grep -c 'cutting off' "$data/out")"
    "$binary" bench consume --bootstrap-server "127.0.0.1:$port" --topic sparse --check-crc --records $((300 * count)) >"$data/bench"
    head -1 "$data/bench"
    ;;
segments)
    count=${2:-1000}
    look() {
        sleep 1
        resident
        python3 benches/random_reads.py "127.0.0.1:$port" "$data/log" many 2000
        "$binary" bench consume --bootstrap-server "127.0.0.1:$port" --topic many --check-crc --records $((100 * (count + 1))) >"$data/bench"
        head -1 "$data/bench"
        resident
        echo "open files: $(ls "/proc/$pid/fd" | wc -l)"
    }
    "$binary" bench produce --bootstrap-server "127.0.0.1:$port" --topic many --create-topic --partitions 100 \
        --topic-config segment.bytes=200 --record-size 100 --batch-bytes 150 --records $((100 * (count + 1))) --timeout 900 >"$data/bench"
    head -1 "$data/bench"
    resident
    echo "open files: $(ls "/proc/$pid/fd" | wc -l)"
    began=$(date +%s.%N); kill "$pid"; wait "$pid"
    echo "stopped, s: $(echo "$(date +%s.%N) - $began" | bc)"
    echo "segments: $(find "$data/log" -name '*.log' -path '*/many-*' | wc -l)"
    start
    look
    kill -9 "$pid"; wait "$pid" || true
    echo "after kill -9, and under 1,024 files:"
    ulimit -n 1024
    start
    look
    ;;
*) echo "partitions, sparse or segments" >&2; exit 2 ;;
esac
