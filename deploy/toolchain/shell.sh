# shell.sh - what quickstart.sh, tests/run.sh and packages.sh share: steps with progress. Sourced.
#
# step LOG TITLE COMMAND... runs COMMAND with its output in LOG, in a process group of its own, says
# how far it is, and shows the end of LOG when it fails. The caller's EXIT trap calls step_stop.
# shellcheck shell=bash

STEP_PID=

say() {
    printf '%s\n' "$*"
}

complain() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# The last line of a log that says something, cut to what fits beside the title.
step_news() {
    tail -n 5 "$1" 2>/dev/null | tr -cd '\n\t -~' | grep -v '^[[:space:]]*$' | tail -n 1 |
        sed 's/^[[:space:]]*//' | cut -c 1-60
}

# A terminal gets one line that is written over, anything else a line every five seconds.
step_progress() {
    local title=$1 seconds=$2 log=$3

    if [ -t 1 ]; then
        printf '\r\033[K  %s: %d s  %s' "$title" "$seconds" "$(step_news "$log")"
    elif [ $((seconds % 5)) = 0 ]; then
        say "  $title: $seconds s  $(step_news "$log")"
    fi
}

# Like step, but quiet about a failure: returns the command's exit code.
step_try() {
    local log=$1 title=$2 started=$SECONDS told=$SECONDS rc=0
    shift 2

    mkdir -p "$(dirname "$log")"
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    STEP_PID=$!
    set +m
    while kill -0 "$STEP_PID" 2>/dev/null; do
        sleep 0.1
        if [ "$SECONDS" != "$told" ] && [ $((SECONDS - started)) -ge 2 ]; then
            told=$SECONDS
            step_progress "$title" $((SECONDS - started)) "$log"
        fi
    done
    wait "$STEP_PID" 2>/dev/null || rc=$?
    STEP_PID=
    if [ -t 1 ]; then
        printf '\r\033[K'
    fi
    STEP_SECONDS=$((SECONDS - started))
    return "$rc"
}

step() {
    local log=$1 title=$2 rc=0

    step_try "$@" || rc=$?
    if [ "$rc" = 0 ]; then
        say "  $title: $STEP_SECONDS s"
        return 0
    fi
    complain "$title failed (exit code $rc); the end of '$log':"
    tail -n 40 "$log" >&2
    return "$rc"
}

# Ends the process group of what a step or a node started, first kindly, within 5 s.
group_stop() {
    local pid=$1 i

    kill -TERM -- "-$pid" 2>/dev/null || return 0
    for ((i = 0; i < 50; i++)); do
        kill -0 -- "-$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
}

step_stop() {
    if [ -n "$STEP_PID" ]; then
        group_stop "$STEP_PID"
        STEP_PID=
    fi
}

# preset_stale FOLDER: true when FOLDER has to be configured (again). Ninja itself looks after
# changed CMakeLists.txt; presets and a moved tree are beyond its sight.
preset_stale() {
    local folder=$1 home

    [ -f "$folder/build.ninja" ] || return 0
    [ "$ROOT/CMakePresets.json" -nt "$folder/build.ninja" ] && return 0
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt")
    [ "$home" != "$ROOT" ]
}

# build_preset PRESET [TARGET...]: configures what needs it and builds. Wants ROOT and LOGS.
build_preset() {
    local preset=$1 folder=$ROOT/build/$1
    shift

    if preset_stale "$folder"; then
        rm -f "$folder/CMakeCache.txt"
        step "$LOGS/$preset-configure.log" "configuring $preset" \
            cmake -S "$ROOT" --preset "$preset" || return
    fi
    step "$LOGS/$preset-build.log" "building $preset" ninja -C "$folder" "$@"
}
