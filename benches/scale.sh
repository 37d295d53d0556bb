#!/bin/bash
# Many partitions on one node, with a release build of chiplog:
#   benches/scale.sh partitions [COUNT]   make COUNT (10,000) of them, stop, start again, sit idle
#   benches/scale.sh sparse [COUNT]       COUNT (1,000) with segments of 1 GiB, nearly all holes; kill -9, start
# Ends only what it has started; its data goes into a directory of its own under target/.
set -euo pipefail
what=${1:?partitions or sparse}
binary=${CHIPLOG:-target/release/chiplog}
port=${PORT:-29871}
mkdir -p target
data=$(mktemp -d target/scale-XXXXXX)
pid=
finish() { if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi; rm -rf "$data"; }
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
    "$binary" bench consume --bootstrap-server "127.0.0.1:$port" --topic sparse --check-crc --records $((300 * count)) | head -1
    ;;
*) echo "partitions or sparse" >&2; exit 2 ;;
esac
