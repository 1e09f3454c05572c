#!/bin/sh
# wine.sh - runs a Windows program, or a .cmd script, under Wine.
#
#   deploy/toolchain/wine.sh PROGRAM ARGUMENTS...   exits with the program's code (its low 8 bits)
#   deploy/toolchain/wine.sh --start                makes what is missing, and starts the server
#   deploy/toolchain/wine.sh --running              exits with 0 when the server runs, else 1
#   deploy/toolchain/wine.sh --stop                 ends the Wine server and all that runs in it
#
# Wine's folder is a private one in the cache,
# ${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}, made once. Its server and services are
# started once and stay, away from any pipe of ours: otherwise each program costs seconds, and
# whoever reads its output waits for them, too.
# CMAKE_CROSSCOMPILING_EMULATOR is set to this script, so ctest runs the Windows suites with it.
set -eu

cache=${TROUPE_CACHE:-${XDG_CACHE_HOME:-${HOME:?"is not set, nor is TROUPE_CACHE"}/.cache}/troupe}
WINEPREFIX=$cache/wine-$(id -u)
WINEDEBUG=${WINEDEBUG:--all}
# No offers to fetch .NET and a browser, no menu entries; a crash ends the program at once with its
# code (the default debugger takes seconds and at times turns the code into 0).
WINEDLLOVERRIDES='mscoree,mshtml=;winemenubuilder.exe,winedbg.exe=d'
# Arguments and file names of Linux are UTF-8 to the programs, whatever the caller's language.
LC_ALL=C.UTF-8
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES LC_ALL
unset DISPLAY WAYLAND_DISPLAY
ready=$WINEPREFIX/troupe-ready

say() {
    printf 'wine.sh: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

running() {
    [ -e "$ready" ] && wineserver -k0 >/dev/null 2>&1
}

# Called with the lock on descriptor 9 held; what stays in the background must not inherit it.
start() {
    rm -f "$ready"
    # shellcheck disable=SC3045 # every sh of Debian has it
    ulimit -n "$(ulimit -Hn)" || true # the server reads it at its start
    if [ ! -e "$WINEPREFIX/system.reg" ]; then
        say "making Wine's folder '$WINEPREFIX', which takes half a minute at most, once"
        rm -rf "$WINEPREFIX" "$WINEPREFIX.new"
        WINEPREFIX=$WINEPREFIX.new wineboot -i >/dev/null 2>&1 </dev/null 9>&- ||
            fail "wine could not make '$WINEPREFIX'"
        WINEPREFIX=$WINEPREFIX.new wineserver -w 9>&-
        mv "$WINEPREFIX.new" "$WINEPREFIX"
    fi
    say 'starting the Wine server'
    wineserver -p >/dev/null 2>&1 </dev/null 9>&- || true # 2: it runs already
    wine cmd /c exit >/dev/null 2>&1 </dev/null 9>&- || fail 'wine does not run: try "wine cmd"'
    : >"$ready"
}

ensure_running() {
    running && return
    command -v wine >/dev/null 2>&1 || fail "'wine' is missing: apt-get install wine64 wine"
    mkdir -p "$cache"
    (
        flock 9
        running || start
    ) 9>>"$cache/wine-$(id -u).lock"
}

case ${1-} in
--start)
    ensure_running
    ;;
--running)
    running
    ;;
--stop)
    rm -f "$ready"
    [ ! -d "$WINEPREFIX" ] || wineserver -k >/dev/null 2>&1 || true
    ;;
'' | -*)
    say "usage: $0 PROGRAM ARGUMENTS... | --start | --running | --stop"
    exit 2
    ;;
*.cmd | *.bat)
    [ -f "$1" ] || fail "there is no file '$1'"
    ensure_running
    script=Z:$(realpath "$1" | tr / '\134')
    shift
    exec wine cmd /c "$script" "$@"
    ;;
*)
    ensure_running
    exec wine "$@"
    ;;
esac
