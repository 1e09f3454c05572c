#!/usr/bin/env bash
# Runs every fuzzer for some seconds. Any crash, leak or undefined behaviour fails; what provoked it
# is kept beside the corpus that grew, in build/fuzz/.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${TROUPE_FUZZ_BIN:-$ROOT/build/linux-asan/bin}
FOUND=${TROUPE_FUZZ_FOUND:-$ROOT/build/fuzz}
SECONDS_EACH=10

usage() {
    echo "usage: tests/fuzz/run.sh [SECONDS | short]   for each fuzzer, 10 if not said (short)"
    echo "programs are taken from build/linux-asan/bin (or TROUPE_FUZZ_BIN):"
    echo "  cmake --preset linux-asan && cmake --build --preset linux-asan"
}

# fuzz NAME: one program over the kept corpus and what it found in earlier runs.
fuzz() {
    local name=$1 log=$FOUND/$1.log rc=0 runs

    mkdir -p "$FOUND/$name"
    "$BIN/fuzz_$name" -max_total_time="$SECONDS_EACH" -max_len=4096 -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$FOUND/$name-" \
        "$FOUND/$name" "$ROOT/tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null || rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$rc" != 0 ] || [ "${runs:-0}" -lt 1 ]; then
        tail -n 60 "$log" >&2
        echo "fuzz_$name: FAILED (exit code $rc)"
        return 1
    fi
    echo "fuzz_$name: $runs executions in $SECONDS_EACH s, nothing found"
}

case ${1:-short} in
short) ;;
-h | --help)
    usage
    exit 0
    ;;
*[!0-9]* | '' | 0*)
    usage >&2
    exit 2
    ;;
*) SECONDS_EACH=$1 ;;
esac
[ $# -le 1 ] || {
    usage >&2
    exit 2
}

failed=0
for source in "$ROOT"/tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    if [ ! -x "$BIN/$name" ]; then
        echo "$name: '$BIN/$name' is not built"
        failed=1
        continue
    fi
    fuzz "${name#fuzz_}" || failed=1
done
exit $failed
