#!/usr/bin/env bash
# selftest.sh - proves that the style test can fail: plants one violation of each rule in a copy of
# the tree and expects exactly that line to be found.
set -euo pipefail

TIDY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

PASSED=0
FAILED=0

# A small tree that breaks no rule.
plant_tree() {
    rm -rf "$SCRATCH/tree"
    mkdir -p "$SCRATCH/tree/common" "$SCRATCH/tree/proto" "$SCRATCH/tree/tests"
    cd "$SCRATCH/tree"
    printf '// base.h - words.\n// Floor 0.\n#include <stdint.h>\n' >common/base.h
    printf '#include "base.h"\n' >common/base.c
    printf '// port.h - a port.\n// Floor 0.\n#include "base.h"\n' >common/port.h
    printf '#include "port.h"\n#include <sys/epoll.h>\n' >common/port_epoll.c
    printf '// frame.h - frames.\n// Floor 1.\n#include "base.h"\n' >proto/frame.h
    printf '#include "frame.h"\n// _WIN32 in a comment is fine\n' >proto/frame.c
    printf '#include "frame.h"\n#include "port.h"\n' >tests/test_frame.c
    printf 'add_library(x base.c port_epoll.c)\n' >common/CMakeLists.txt
    printf 'add_library(y frame.c)\n' >proto/CMakeLists.txt
    # shellcheck disable=SC2016 # CMake's variable
    printf 'foreach(s frame)\nadd_executable(z test_${s}.c)\n' >tests/CMakeLists.txt
    printf '@echo off\r\nif errorlevel 1 exit /b 1\r\n' >common/x.cmd
    for folder in common proto tests; do
        printf '# %s\n' "$folder" >"$folder/README.md"
    done
}

# expect WHERE RULE: the style test must fail and say so.
expect() {
    local found

    if found=$("$TIDY/style.sh" "$SCRATCH/tree"); then
        printf 'not found: %s: %s\n' "$1" "$2"
        FAILED=$((FAILED + 1))
    elif ! grep -q "^$1: $2: " <<<"$found"; then
        printf 'expected %s: %s, but found: %s\n' "$1" "$2" "$found"
        FAILED=$((FAILED + 1))
    else
        PASSED=$((PASSED + 1))
    fi
    plant_tree
}

repeat() {
    local i

    for ((i = 0; i < $1; i++)); do
        printf '%s\n' "$2"
    done
}

plant_tree
if ! "$TIDY/style.sh" "$SCRATCH/tree" >"$SCRATCH/clean"; then
    printf 'the clean tree is not clean: %s\n' "$(cat "$SCRATCH/clean")"
    exit 1
fi

repeat 500 'int x;' >>proto/frame.c && expect 'proto/frame.c:501' file-size
repeat 700 'int x;' >>tests/test_frame.c && expect 'tests/test_frame.c:701' file-size
{
    printf 'void f(void)\n{\n'
    repeat 68 '    x();'
    printf '}\n'
} >>proto/frame.c && expect 'proto/frame.c:3' function-size
printf '// %0100d\n' 0 >>common/base.h && expect 'common/base.h:4' width
printf '\tint x;\n' >>common/base.c && expect 'common/base.c:2' tab
printf 'int x; \n' >>common/base.c && expect 'common/base.c:2' trailing-blank
printf 'text\t\n' >>common/README.md && expect 'common/README.md:2' tab
printf 'int x;' >>common/base.c && expect 'common/base.c:1' final-newline
sed -i '1s/.*/\/\/ a port./' common/port.h && expect 'common/port.h:1' first-line
sed -i '2d' common/port.h && expect 'common/port.h:2' floor-line
cp common/base.h proto/base.h && expect 'proto/base.h:1' same-name
printf '#include "frame.h"\n' >>common/base.c && expect 'common/base.c:2' floor
printf '// codec.h - x.\n// Floor 1.\n#include "frame.h"\n' >proto/codec.h &&
    expect 'proto/codec.h:3' floor
printf '// port_part.h - x.\n// Floor 0.\n' >common/port_part.h
printf '#include "port_part.h"\n' >>common/port_epoll.c
printf '#include "port_part.h"\n' >>proto/frame.c && expect 'proto/frame.c:3' floor
printf '// dead.h - x.\n// Floor 1.\n' >proto/dead.h && expect 'proto/dead.h:1' dead-header
printf '#include <unistd.h>\n' >>common/base.c && expect 'common/base.c:2' platform
printf '#include <sys/stat.h>\n' >>tests/test_frame.c && expect 'tests/test_frame.c:3' platform
printf '#ifdef _WIN32\n#endif\n' >>proto/frame.c && expect 'proto/frame.c:3' platform
printf '#if defined(__linux__)\n#endif\n' >>proto/frame.h && expect 'proto/frame.h:4' platform
printf '#include <nng/nng.h>\n' >>proto/frame.c && expect 'proto/frame.c:3' nng
printf 'int x = nng_close(y);\n' >>proto/frame.c && expect 'proto/frame.c:3' nng
printf '#include <msgpack.h>\n' >>proto/frame.c && expect 'proto/frame.c:3' msgpack
printf 'msgpack_zone *zone;\n' >>proto/frame.c && expect 'proto/frame.c:3' msgpack
printf '#include <yaml.h>\n' >>proto/frame.c && expect 'proto/frame.c:3' yaml
printf '// TO''DO: later\n' >>proto/frame.c && expect 'proto/frame.c:3' unfinished
printf 'FIX''ME\n' >>common/README.md && expect 'common/README.md:2' unfinished
rm proto/README.md && expect 'proto:1' readme
repeat 25 'text' >>proto/README.md && expect 'proto/README.md:26' readme
sed -i 's/frame/frames/' tests/CMakeLists.txt && expect 'tests/test_frame.c:1' dead-file
printf '#include "frame.h"\n' >proto/frame_old.c && expect 'proto/frame_old.c:1' dead-file
printf 'a && b\r\n' >>common/x.cmd && expect 'common/x.cmd:3' cmd
printf 'findstr x y\r\n' >>common/x.cmd && expect 'common/x.cmd:3' cmd

printf 'style self-test: %d passed, %d failed\n' "$PASSED" "$FAILED"
[ "$FAILED" = 0 ]
