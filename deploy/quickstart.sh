#!/usr/bin/env bash
# quickstart.sh - from a bare Debian to a node that serves clients, in one command.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
LOGS=$ROOT/build/logs/quickstart
# shellcheck source=deploy/toolchain/shell.sh
. "$ROOT/deploy/toolchain/shell.sh"

PRESET=linux
ONCE=no
WINE=()        # what a Windows program is run with
EXE=           # the end of a program's name
WINE_STARTED=no
STOPPING=no
PORT=7777
SCRATCH=       # a folder that goes when we go: for the node's sockets

usage() {
    cat <<'END'
usage: deploy/quickstart.sh [--once] [--windows]
Installs what is missing (Debian packages; asks nothing), builds Troupe, starts a node with the
troupe-echo example on one worker per core at 127.0.0.1:7777, sends checked traffic through it,
says how to talk to it, and stays up until Ctrl-C.
  --once     end after the traffic: exit code 0 when every byte came back right, else 1
  --windows  do all of it with the Windows build, under Wine
What the tools say goes to build/logs/quickstart/.
END
}

clean_up() {
    trap '' INT TERM HUP
    step_stop
    node_stop || true
    if [ $WINE_STARTED = yes ]; then
        "${WINE[@]}" --stop
    fi
    [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
}

give_up() {
    complain "$1"
    exit 1
}

prepare() {
    local sets=(run) targets=(troupe troupe-gateway troupe-echo troupe-bench)

    [ $PRESET = linux ] || sets+=(windows)
    "$ROOT/deploy/toolchain/packages.sh" "${sets[@]}"
    if [ $PRESET = windows ]; then
        step "$LOGS/windows-libs.log" 'libraries for Windows' \
            "$ROOT/deploy/toolchain/windows-libs.sh"
    fi
    build_preset $PRESET "${targets[@]}"
    if [ $PRESET = windows ]; then
        EXE=.exe
        WINE=("$ROOT/deploy/toolchain/wine.sh")
        "${WINE[@]}" --running || WINE_STARTED=yes
        step "$LOGS/wine.log" 'starting Wine' "${WINE[@]}" --start
    fi
}

port_busy() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start_node() {
    local log=$LOGS/node.log options=() workers

    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/troupe-XXXXXX")
    if port_busy $PORT; then
        say "Port $PORT is taken, so the node takes a free one."
        options=(--gateway.listen=127.0.0.1:0 --admin.listen=off)
    fi
    # Beside another node, or for a short life, it has its sockets to itself.
    if [ $ONCE = yes ] || [ ${#options[@]} != 0 ]; then
        options+=("--node.runtime_dir=$SCRATCH")
    fi
    node_start "$log" "${WINE[@]}" "$BIN/troupe$EXE" up "${options[@]}"
    workers=${NODE_READY#*workers=}
    workers=${workers%% *}
    say "A node serves at 127.0.0.1:$NODE_PORT, $SECONDS s after the command was typed:" \
        "one gateway, $workers worker$([ "$workers" = 1 ] || printf s) running troupe-echo."
    say "  (its log: $log)"
}

traffic() {
    local log=$LOGS/traffic.log rc=0 clients=32 frames=100

    [ $PRESET = linux ] || clients=16 frames=25 # Wine takes its time
    say "Traffic: $clients clients at once, each $frames frames with 0 bytes to the maximum after" \
        'the id; every byte that comes back is compared.'
    step_try "$log" 'traffic' "${WINE[@]}" "$BIN/troupe-bench$EXE" \
        --connect "127.0.0.1:$NODE_PORT" --clients $clients --frames $frames --sizes 2-65533 ||
        rc=$?
    if [ $rc != 0 ]; then
        tail -n 20 "$log" >&2
        complain "the traffic went wrong (exit code $rc); see '$log' and '$LOGS/node.log'"
        return 1
    fi
    tr -d '\r' <"$log" | sed 's/^/  /'
}

explain() {
    local bench=build/$PRESET/bin/troupe-bench$EXE up=build/$PRESET/bin/troupe$EXE

    [ $PRESET = linux ] || bench="deploy/toolchain/wine.sh $bench" up="deploy/toolchain/wine.sh $up"
    cat <<END

Talk to it (Troupe's default framing: u16 little-endian size that counts itself, u16 id, body):
  printf '\\x09\\x00\\x01\\x00hello' | nc -q 1 127.0.0.1 $PORT | od -c
or, with nothing but bash:
  exec 3<>/dev/tcp/127.0.0.1/$NODE_PORT
  printf '\\x09\\x00\\x01\\x00hello' >&3; head -c 9 <&3 | od -c
  $bench --connect 127.0.0.1:$NODE_PORT --clients 100 --sizes 2-1000
By hand, a line a message: stop this node, start one that speaks lines, and type:
  $up up --gateway.frame=line
  nc 127.0.0.1 7777
END
}

stay() {
    local rc=0

    say ''
    say 'Up until Ctrl-C.'
    wait "$NODE_PID" || rc=$?
    if [ $STOPPING = no ]; then
        NODE_PID=
        tail -n 20 "$LOGS/node.log" >&2
        give_up "the node ended by itself (exit code $rc); its log is '$LOGS/node.log'"
    fi
    say ''
    say 'Stopping in order ...'
    if [ $rc -gt 128 ]; then # the signal ended the wait, not yet the node
        rc=0
        node_stop asked || rc=$?
    fi
    NODE_PID=
    [ $rc = 0 ] || give_up "the node did not stop in order; its log is '$LOGS/node.log'"
    say 'Stopped.'
}

while [ $# -gt 0 ]; do
    case $1 in
    --once) ONCE=yes ;;
    --windows) PRESET=windows ;;
    -h | --help) usage && exit 0 ;;
    *)
        complain "unknown option '$1'"
        usage >&2
        exit 2
        ;;
    esac
    shift
done
BIN=$ROOT/build/$PRESET/bin
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$LOGS"
prepare
start_node
traffic
if [ $ONCE = yes ]; then
    node_stop || give_up "the node did not stop in order; its log is '$LOGS/node.log'"
    say 'The node was stopped in order.'
    exit 0
fi
explain
trap 'STOPPING=yes; kill -INT "$NODE_PID" 2>/dev/null || true' INT TERM HUP
stay
