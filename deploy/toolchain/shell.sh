# shell.sh - what the scripts share: steps with progress, builds, a node under watch. Sourced.
#
# step LOG TITLE COMMAND... runs COMMAND with its output in LOG, in a process group of its own, says
# how far it is, and shows the end of LOG when it fails. The caller's EXIT trap calls step_stop and
# node_stop, so that nothing is left behind. Wants ROOT and LOGS.
# shellcheck shell=bash

STEP_PID=
STEP_SECONDS=0
NODE_PID=   # the supervisor's, while it runs
NODE_PORT=  # where clients are served
NODE_READY= # its ready line

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

# A terminal gets one line that is written over, anything else a line now and then.
step_progress() {
    local title=$1 seconds=$2 log=$3 every=5

    [ "$seconds" -lt 60 ] || every=15
    if [ -t 1 ]; then
        printf '\r\033[K  %s: %d s  %s' "$title" "$seconds" "$(step_news "$log")"
    elif [ $((seconds % every)) = 0 ]; then
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
# changed CMakeLists.txt; presets, a moved tree and libraries that are gone are beyond its sight.
preset_stale() {
    local folder=$1 home library

    [ -f "$folder/build.ninja" ] || return 0
    [ "$ROOT/CMakePresets.json" -nt "$folder/CMakeCache.txt" ] && return 0
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt")
    [ "$home" = "$ROOT" ] || return 0
    while read -r library; do
        [ -e "$library" ] || return 0
    done < <(sed -n 's/^TROUPE_.*_LIBRARY:FILEPATH=//p' "$folder/CMakeCache.txt")
    return 1
}

# build_preset PRESET [TARGET...]: configures what needs it and builds.
build_preset() {
    local preset=$1 folder=$ROOT/build/$1
    shift

    if preset_stale "$folder"; then
        rm -rf "$folder/build.ninja" "$folder/CMakeCache.txt" "$folder/CMakeFiles"
        step "$LOGS/$preset-configure.log" "configuring $preset" \
            cmake -S "$ROOT" --preset "$preset" || return
    fi
    step "$LOGS/$preset-build.log" "building $preset" ninja -C "$folder" "$@"
}

# The line that a node prints once all is ready; 1 when it ended before, or took a minute.
node_wait_ready() {
    local i

    for ((i = 0; i < 600; i++)); do
        if grep -m 1 '^ready: .*listen=' "$1" | tr -d '\r'; then
            return 0
        fi
        kill -0 "$NODE_PID" 2>/dev/null || return 1
        if [ $((i % 50)) = 49 ]; then
            say '  still starting ...' >&2
        fi
        sleep 0.1
    done
    return 1
}

# node_start LOG COMMAND...: starts "troupe up" and waits until it is ready. 0 or 1.
node_start() {
    local log=$1
    shift

    set -m
    "$@" >"$log.ready" 2>"$log" </dev/null &
    NODE_PID=$!
    set +m
    if ! NODE_READY=$(node_wait_ready "$log.ready"); then
        tail -n 30 "$log" >&2
        complain "the node did not become ready; its log is '$log'"
        return 1
    fi
    NODE_PORT=${NODE_READY#*listen=}
    NODE_PORT=${NODE_PORT%% *}
    NODE_PORT=${NODE_PORT##*:}
}

# node_stop [asked]: asks it to stop, unless that was done, and waits. Its exit code; what does not
# end within 20 s is killed. SIGINT, since Wine hands that on as Ctrl-C and knows no SIGTERM.
node_stop() {
    local pid=$NODE_PID i

    [ -n "$pid" ] || return 0
    NODE_PID=
    [ "${1-}" = asked ] || kill -INT "$pid" 2>/dev/null || true
    for ((i = 0; i < 200; i++)); do
        if ! kill -0 "$pid" 2>/dev/null; then
            wait "$pid" 2>/dev/null
            return
        fi
        sleep 0.1
    done
    complain 'the node did not stop within 20 s and is killed'
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    return 1
}
