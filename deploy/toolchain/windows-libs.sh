#!/bin/sh
# windows-libs.sh - cross-compiles the libraries that the Windows build links, once, into a cache.
#
#   deploy/toolchain/windows-libs.sh                  makes what is missing; last line: the prefix
#   deploy/toolchain/windows-libs.sh --print-prefix   only says where it is or would be
#
# nng, msgpack-c, libyaml and cmocka come from the Debian source packages of the machine's own
# release, through an apt configuration in the cache: the system's sources stay as they are, and the
# package manager's signatures are checked. uthash is one header, the same on every system: it is
# copied from Debian's uthash-dev. Nothing needs root. The cache is
# ${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}; mingw-w64.cmake asks this script where.
set -eu

host=x86_64-w64-mingw32
packages='nng msgpack-c libyaml cmocka'
uthash=/usr/include/uthash.h
cache=${TROUPE_CACHE:-${XDG_CACHE_HOME:-${HOME:?"is not set, nor is TROUPE_CACHE"}/.cache}/troupe}
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
recipe=2 # counts up with every change below that makes other libraries
prefix=$cache/windows-${release:-linux}-$recipe

say() {
    printf 'windows-libs: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || fail "'$1' is missing: apt-get install $2"
}

# Runs a step quietly; shows the end of what it said when it fails.
step() { # step LOG COMMAND...
    log=$1
    shift
    if ! "$@" >>"$log" 2>&1; then
        tail -n 25 "$log" >&2
        fail "'$1' failed; the end of its output is above"
    fi
}

# The machine's binary sources turned into source entries, in a folder of ours.
apt_sources() {
    mkdir -p "$work/apt/sources" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        sed 's/^[Tt]ypes:.*/Types: deb-src/' "$file" >"$work/apt/sources/${file##*/}"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        sed -n 's/^[[:space:]]*deb\([[:space:]]\)/deb-src\1/p' "$file" \
            >"$work/apt/sources/${file##*/}"
    done
}

# Nobody but root may become the user that apt downloads as, and he cannot enter a private cache.
apt_get() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/sources" \
        -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Get::List-Cleanup=0 "$@"
}

fetch() {
    say 'fetching the source packages'
    apt_sources
    # It fails as a whole when one of the sources has no source packages: what is missing then shows
    # with the next step.
    apt_get update >>"$work/fetch.log" 2>&1 || true
    mkdir -p "$work/source"
    cd "$work/source"
    # shellcheck disable=SC2086 # a list of names
    step "$work/fetch.log" apt_get source --download-only $packages
    for package in $packages; do
        set -- "$package"_*.dsc
        [ -f "$1" ] || fail "the source package '$package' was not found"
        step "$work/fetch.log" dpkg-source --no-check -x "$1" "$package"
    done
}

# msgpack-c's CMake demands a C++ compiler that its C library has no use for: the C compiler stands
# in, untried, and the C++ cross compiler need not be installed.
build() { # build NAME OPTIONS...
    name=$1
    shift
    say "compiling $name"
    step "$work/$name.log" cmake -S "$work/source/$name" -B "$work/$name" -G Ninja \
        -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_SYSTEM_PROCESSOR=x86_64 \
        -DCMAKE_C_COMPILER=$host-gcc-posix \
        -DCMAKE_CXX_COMPILER=$host-gcc-posix -DCMAKE_CXX_COMPILER_FORCED=ON \
        -DCMAKE_RC_COMPILER=$host-windres -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        '-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g1' \
        "-DCMAKE_C_FLAGS=-D_WIN32_WINNT=0x0A00 -ffile-prefix-map=$work/source=." \
        -DCMAKE_FIND_ROOT_PATH=/usr/$host -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER \
        -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
        -DCMAKE_INSTALL_PREFIX="$work/prefix" -DCMAKE_INSTALL_LIBDIR=lib \
        -DBUILD_SHARED_LIBS=OFF "$@"
    step "$work/$name.log" cmake --build "$work/$name" --target install
}

make_prefix() {
    need $host-gcc-posix gcc-mingw-w64-x86-64-posix
    need cmake cmake
    need ninja ninja-build
    need dpkg-source dpkg-dev
    [ -f $uthash ] || fail "'$uthash' is missing: apt-get install uthash-dev"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/windows-building.XXXXXX")
    trap 'cd /; rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    say "making '$prefix', which takes a minute or two, once"
    fetch
    build nng -DNNG_TESTS=OFF -DNNG_TOOLS=OFF -DNNG_ENABLE_NNGCAT=OFF
    build msgpack-c -DMSGPACK_BUILD_TESTS=OFF -DMSGPACK_BUILD_EXAMPLES=OFF \
        -DMSGPACK_ENABLE_SHARED=OFF
    build libyaml -DBUILD_TESTING=OFF
    build cmocka -DWITH_STATIC_LIB=ON -DUNIT_TESTING=OFF -DWITH_EXAMPLES=OFF
    # cmocka makes its DLL whatever it is told; the static library alone is wanted.
    rm -rf "$work/prefix/bin" "$work/prefix/lib/libcmocka.dll.a"
    step "$work/uthash.log" install -D -m 644 $uthash "$work/prefix/include/uthash.h"
    # Whoever is first wins; the libraries are the same.
    mv -T "$work/prefix" "$prefix" 2>/dev/null || [ -d "$prefix" ] ||
        fail "cannot make '$prefix'"
    say 'done'
}

# In braces, since a shell reads on in its script, which may be another one after a minute.
{
    case ${1-} in
    '') [ -d "$prefix" ] || make_prefix ;;
    --print-prefix) ;;
    *)
        say "usage: $0 [--print-prefix]"
        exit 2
        ;;
    esac
    printf '%s\n' "$prefix"
    exit
}
