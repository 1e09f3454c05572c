#!/usr/bin/env bash
# packages.sh - the one list of Debian packages that Troupe needs; installs those that are missing.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=deploy/toolchain/shell.sh
. "$ROOT/deploy/toolchain/shell.sh"

# Build and run on Linux.
RUN=(gcc libc6-dev cmake ninja-build libnng-dev libmsgpack-dev libyaml-dev libcmocka-dev
    uthash-dev)
# Build for Windows, with the sources of its libraries, and run that.
WINDOWS=(gcc-mingw-w64-x86-64-posix binutils-mingw-w64-x86-64 dpkg-dev xz-utils
    uthash-dev wine wine64)
# Sanitizers, fuzzers, valgrind and the checks of the text.
TESTS=(clang libclang-rt-dev llvm clang-format clang-tidy valgrind shellcheck)

usage() {
    cat <<'END'
usage: packages.sh [--list] SET...
Installs the Debian packages of the sets that are not there yet: run, windows, tests.
  --list  print the names instead
As root directly, else through sudo. Asks nothing.
END
}

missing() {
    local installed name

    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        grep -qx "installed $name" <<<"$installed" || printf '%s\n' "$name"
    done
}

# Sets AS_ROOT, or says what to do. sudo asks for a password only where there is somebody to ask.
become_root() {
    AS_ROOT=()
    [ "$(id -u)" != 0 ] || return 0
    if command -v sudo >/dev/null; then
        AS_ROOT=(sudo -n)
        sudo -n true 2>/dev/null && return 0
        if [ -t 0 ] && sudo -v; then
            return 0
        fi
    fi
    complain "packages are missing; as root: apt-get install --no-install-recommends $*"
    return 1
}

install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600)
    local logs=$ROOT/build/logs

    become_root "$@"
    say "installing $# packages: $*"
    # A source that does not answer need not be one that matters: apt-get install tells.
    step_try "$logs/apt-update.log" 'package lists' "${AS_ROOT[@]}" "${apt[@]}" update ||
        complain "apt-get update had errors, see '$logs/apt-update.log'"
    step "$logs/apt-install.log" 'packages' "${AS_ROOT[@]}" "${apt[@]}" install -y \
        --no-install-recommends "$@"
}

main() {
    local list=no names=()

    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) usage && return 0 ;;
        --list) list=yes ;;
        run) names+=("${RUN[@]}") ;;
        windows) names+=("${WINDOWS[@]}") ;;
        tests) names+=("${TESTS[@]}") ;;
        *)
            complain "unknown set '$1': run, windows, tests"
            return 2
            ;;
        esac
        shift
    done
    if [ $list = yes ]; then
        printf '%s\n' "${names[@]}"
        return 0
    fi
    if ! command -v dpkg-query >/dev/null; then
        complain "not a Debian system, so nothing is installed; needed are: ${names[*]}"
        return 0
    fi
    mapfile -t names < <(missing "${names[@]}")
    [ ${#names[@]} = 0 ] || install "${names[@]}"
}

trap step_stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
main "$@"
