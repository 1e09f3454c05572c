#!/usr/bin/env bash
# run.sh - builds and tests everything, or parts of it, on a Debian machine.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
LOGS=$ROOT/build/logs/tests
# shellcheck source=deploy/toolchain/shell.sh
. "$ROOT/deploy/toolchain/shell.sh"
# shellcheck source=tests/parts.sh
. "$ROOT/tests/parts.sh"

PARTS=(tidy linux asan tsan fuzz valgrind windows install cmd quickstart)
LONG_PARTS=(chaos) # only when named
SUMMARY=
PASSED=0
FAILED=0
SKIPPED=0
BROKEN=()
WINE_STARTED=no

usage() {
    cat <<END
usage: tests/run.sh [PART...]
Installs what is missing (Debian packages; asks nothing), builds, and runs the parts; all of them
when none is named:
  tidy        style test, clang-format, clang-tidy, shellcheck
  linux       unit, port and end-to-end suites
  asan        the same under AddressSanitizer and UndefinedBehaviorSanitizer
  tsan        the same under ThreadSanitizer
  fuzz        short runs of the fuzzers
  valgrind    a node under valgrind: no leak and no error in gateway and worker
  windows     unit, port and end-to-end suites of the Windows build, under Wine
  install     a project outside of the tree, on what cmake --install leaves, on both systems
  cmd         the scripts for a Windows host, as far as Wine's cmd.exe goes
  quickstart  deploy/quickstart.sh --once and --once --windows
and one that runs only when it is named, as it takes ten minutes:
  chaos       workers killed, frozen and stopped, a minute for each way, from a seed of its own
Exit code 0 when all passed, 1 when not, 2 for an unknown part. Logs: build/logs/tests/.
END
}

known() {
    local part

    for part in "${PARTS[@]}" "${LONG_PARTS[@]}"; do
        [ "$part" = "$1" ] && return 0
    done
    return 1
}

wants_windows() {
    local part

    for part in "$@"; do
        case $part in
        windows | install | cmd | quickstart) return 0 ;;
        esac
    done
    return 1
}

prepare() {
    local sets=(run tests)

    wants_windows "$@" && sets+=(windows)
    "$ROOT/deploy/toolchain/packages.sh" "${sets[@]}"
    wants_windows "$@" || return 0
    step "$LOGS/windows-libs.log" 'libraries for Windows' "$ROOT/deploy/toolchain/windows-libs.sh"
    # Away from ctest's pipes, or the first test waits for Wine's services.
    "$WINE" --running || WINE_STARTED=yes
    step "$LOGS/wine.log" 'starting Wine' "$WINE" --start
}

clean_up() {
    trap '' INT TERM HUP
    step_stop
    if [ $WINE_STARTED = yes ]; then
        "$WINE" --stop
    fi
}

# A part runs in a process of its own; what it counts comes back in its log.
in_part() {
    trap part_clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "part_$1"
}

run_part() {
    local part=$1 log=$LOGS/$1.log rc=0 word passed=0 failed=0 skipped=0 p f s result=passed

    step_try "$log" "$part" in_part "$part" || rc=$?
    while read -r word p f s; do
        [ "$word" = counted: ] || continue
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    done <"$log"
    if [ $rc != 0 ] || [ $failed != 0 ]; then
        [ $failed != 0 ] || failed=1
        result=FAILED
        BROKEN+=("$part")
    elif [ $passed = 0 ]; then
        result='no test'
        failed=1
        BROKEN+=("$part")
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    printf -v word '%-11s %-8s %5d s  %5d passed  %3d failed  %3d skipped' \
        "$part" "$result" "$STEP_SECONDS" "$passed" "$failed" "$skipped"
    SUMMARY+="$word"$'\n'
    say "$word"
}

# What went wrong, from wherever in the log it stands, and then its end.
show_broken() {
    local part log wrong

    wrong='\*\*\*(Failed|Timeout|Exception)|\[  ERROR   \]|(ERROR|WARNING|SUMMARY): [A-Z]'
    wrong+='|runtime error:|^FAILED| (error|warning): |^[^ ]+:[0-9]+: [a-z-]+: '
    for part in "${BROKEN[@]}"; do
        log=$LOGS/$part.log
        say ''
        say "--- $part: what went wrong in '$log':"
        grep -n -E -A 4 "$wrong" "$log" | head -n 80 || true
        say "--- $part: the end of it:"
        grep -v '^counted:' "$log" | tail -n 15
    done
}

if [ $# = 0 ]; then
    set -- "${PARTS[@]}"
fi
for part in "$@"; do
    case $part in
    -h | --help) usage && exit 0 ;;
    esac
    if ! known "$part"; then
        complain "unknown part '$part'"
        usage >&2
        exit 2
    fi
done

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$LOGS"
prepare "$@"
for part in "$@"; do
    run_part "$part"
done
show_broken
say ''
printf '%s' "$SUMMARY"
say "$SECONDS s in all"
if [ $SKIPPED = 0 ]; then
    say "$PASSED passed, $FAILED failed"
else
    say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
fi
[ $FAILED = 0 ]
