# parts.sh - the parts of run.sh. Sourced; each part runs in a process of its own.
#
# A part prints what it does, says "counted: PASSED FAILED SKIPPED" as often as it likes, and
# returns 0 only when all is well. One failed check does not keep the next from running.
# shellcheck shell=bash

WINE=$ROOT/deploy/toolchain/wine.sh
CTEST=(ctest)
SCRATCH=

part_clean_up() {
    trap '' INT TERM
    step_stop
    node_stop || true
    [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
}

scratch() {
    SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/troupe-test-XXXXXX")
}

# check TEXT COMMAND...: one thing that passes or fails.
check() {
    local text=$1
    shift

    say "check: $text"
    if "$@" </dev/null; then
        say "counted: 1 0 0"
        return 0
    fi
    say "FAILED: $text"
    say "counted: 0 1 0"
    return 1
}

# Sums "[  FAILED  ] 2 test(s)" and the like.
sum_tests() {
    sed -n "s/^.*\\[ *$1 *\\] \\([0-9]*\\) test(s).*/\\1/p" "$2" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

# What the cmocka programs of the last ctest run said. A program that crashed counts as one.
count_suites() {
    local log=$1/Testing/Temporary/LastTest.log programs=$2 passed failed skipped

    passed=$(sum_tests PASSED "$log")
    failed=$(sum_tests FAILED "$log")
    skipped=$(sum_tests SKIPPED "$log")
    [ "$failed" -ge "$programs" ] || failed=$programs
    say "counted: $passed $failed $skipped"
}

# ctest_run PRESET OPTION...
ctest_run() {
    local folder=$ROOT/build/$1 rc=0 failed
    shift

    "${CTEST[@]}" --test-dir "$folder" --output-on-failure --no-tests=error "$@" || rc=$?
    failed=0
    if [ -s "$folder/Testing/Temporary/LastTestsFailed.log" ] && [ $rc != 0 ]; then
        failed=$(wc -l <"$folder/Testing/Temporary/LastTestsFailed.log")
    fi
    count_suites "$folder" "$failed"
    return $rc
}

# Unit suites two at a time; what opens ports and starts processes one by one.
suites() {
    local preset=$1 rc=0

    build_preset "$preset" || return 1
    ctest_run "$preset" -L unit -j 2 || rc=1
    ctest_run "$preset" -LE unit || rc=1
    return $rc
}

part_linux() {
    suites linux
}

part_asan() {
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
    suites linux-asan
}

# With much randomness in the layout of memory (vm.mmap_rnd_bits) the runtime of ThreadSanitizer
# in clang 14 finds its shadow taken: so none of it, where that is allowed.
part_tsan() {
    export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1 second_deadlock_stack=1}
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        CTEST=(setarch "$(uname -m)" -R ctest)
    fi
    suites linux-tsan
}

part_chaos() {
    local seed=${TROUPE_E2E_SEED:-$RANDOM}

    build_preset linux || return 1
    TROUPE_E2E_SEED=$seed TROUPE_E2E_CHAOS_S=${TROUPE_E2E_CHAOS_S:-60} \
        check "no client notices a lost worker, seed $seed" "$ROOT/build/linux/bin/test_e2e_loss"
}

part_windows() {
    suites windows
}

part_fuzz() {
    build_preset linux-asan || return 1
    check 'fuzzers find nothing' "$ROOT/tests/fuzz/run.sh" short
}

sources() {
    find "$ROOT" -path "$ROOT/build" -prune -o -path "$ROOT/.git" -prune -o -name '*.[ch]' -print0
}

format_check() {
    sources | xargs -0 clang-format --dry-run -Werror
}

tidy_check() {
    sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$ROOT/build/linux/compile_commands.json" |
        sort -u | tr '\n' '\0' |
        xargs -0 -n 3 -P "$(nproc)" clang-tidy --quiet -p "$ROOT/build/linux" 2>&1 |
        { grep -Ev '^[0-9]+ warnings? generated' || true; } # of headers that are not ours
}

shell_check() {
    (cd "$ROOT" && find . \( -name .git -o -path ./build \) -prune -o \
        \( -name '*.sh' -o -path './.ci/run' \) -print0 | xargs -0 shellcheck -x)
}

part_tidy() {
    local rc=0

    check 'the style test can fail' "$ROOT/tests/tidy/selftest.sh" || rc=1
    check 'style' "$ROOT/tests/tidy/style.sh" "$ROOT" || rc=1
    check 'clang-format' format_check || rc=1
    check 'shellcheck' shell_check || rc=1
    check 'configuring' build_preset linux -t targets || return 1
    check 'clang-tidy' tidy_check || rc=1
    return $rc
}

# A bin folder where the gateway and the worker are scripts that run the real ones under valgrind.
valgrind_folder() {
    local bin=$1 logs=$2 name

    mkdir -p "$bin" "$logs"
    cp "$ROOT/build/linux/bin/troupe" "$bin"
    for name in troupe-gateway troupe-echo; do
        cat >"$bin/$name" <<END
#!/bin/sh
exec valgrind -q --leak-check=full --show-leak-kinds=definite,indirect \\
    --errors-for-leak-kinds=definite,indirect --error-exitcode=99 --track-fds=no \\
    --log-file='$logs/$name.%p' '$ROOT/build/linux/bin/$name' "\$@"
END
        chmod +x "$bin/$name"
    done
}

nothing_found() {
    local log

    for log in "$1"/"$2".*; do
        [ -e "$log" ] || return 1
        if [ -s "$log" ]; then
            cat "$log"
            return 1
        fi
    done
}

part_valgrind() {
    local rc=0 name

    build_preset linux || return 1
    scratch
    valgrind_folder "$SCRATCH/bin" "$SCRATCH/logs"
    check 'a node starts' node_start "$SCRATCH/node.log" "$SCRATCH/bin/troupe" up \
        --node.runtime_dir="$SCRATCH" --gateway.listen=127.0.0.1:0 --admin.listen=off \
        --workers.count=2 --node.stop_timeout_ms=60000 --gateway.turn_timeout_ms=0 || return 1
    check 'traffic' "$ROOT/build/linux/bin/troupe-bench" --connect "127.0.0.1:$NODE_PORT" \
        --clients 8 --frames 20 --sizes 2-65533 --timeout-ms 60000 || rc=1
    check 'it stops in order' node_stop || rc=1
    for name in troupe-gateway troupe-echo; do
        check "$name: no error, nothing lost" nothing_found "$SCRATCH/logs" "$name" || rc=1
    done
    return $rc
}

# Sends a line to a node that speaks lines and expects the answer in capitals.
talk() {
    local answer

    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'Hello from outside\r\n' >&3
    read -r -t 10 answer <&3 || true
    exec 3>&-
    say "answer: '$answer'"
    [ "$answer" = $'HELLO FROM OUTSIDE\r' ]
}

nothing_leaks() {
    ! grep -rnF -e -Werror -e "$ROOT" -e "${TROUPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/troupe}" \
        "$1/lib/cmake"
}

papers_are_there() {
    ls "$1/share/troupe/troupe.yaml" "$1/share/doc/troupe/LICENSE" "$1/include/troupe/actor.h" \
        "$1/lib/cmake/Troupe"/Troupe{Config,ConfigVersion,Targets}.cmake
}

# install_on PRESET EXE: installs, builds the outside project on that, and talks to its worker.
install_on() {
    local preset=$1 exe=$2 prefix=$SCRATCH/$1/prefix outside=$SCRATCH/$1/outside run=() rc=0
    local options=("-DTroupe_DIR=$SCRATCH/$1/prefix/lib/cmake/Troupe")

    if [ "$preset" = windows ]; then
        options+=(--toolchain "$ROOT/deploy/toolchain/mingw-w64.cmake")
        run=("$WINE")
    fi
    build_preset "$preset" || return 1
    check "$preset: install" cmake --install "$ROOT/build/$preset" --prefix "$prefix" || return 1
    check "$preset: all is there" papers_are_there "$prefix" || rc=1
    check "$preset: no path and no warning flag of ours is exported" nothing_leaks "$prefix" || rc=1
    check "$preset: find_package(Troupe)" cmake -S "$ROOT/tests/outside" -B "$outside" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release "${options[@]}" || return 1
    check "$preset: an outside worker builds" ninja -C "$outside" || return 1
    check "$preset: it installs beside" cmake --install "$outside" --prefix "$prefix" || return 1
    check "$preset: a node with it starts" node_start "$SCRATCH/$preset/node.log" "${run[@]}" \
        "$prefix/bin/troupe$exe" up --workers.command=outside-upper --gateway.frame=line \
        --gateway.listen=127.0.0.1:0 --admin.listen=off --workers.count=2 \
        "--node.runtime_dir=$SCRATCH/$preset" || return 1
    check "$preset: it answers" talk "$NODE_PORT" || rc=1
    check "$preset: it stops in order" node_stop || rc=1
    return $rc
}

part_install() {
    local rc=0

    scratch
    install_on linux '' || rc=1
    install_on windows .exe || rc=1
    return $rc
}

# The scripts for a Windows host, on programs that are built already: Wine has no MSYS2.
part_cmd() {
    local rc=0 bin=build\\windows\\bin

    build_preset windows || return 1
    check 'quickstart.cmd --help' "$WINE" "$ROOT/deploy/quickstart.cmd" --help || rc=1
    (cd "$ROOT" && check 'quickstart.cmd --once' "$WINE" deploy/quickstart.cmd --once \
        --prebuilt $bin) || rc=1
    (cd "$ROOT" && check 'run.cmd unit' "$WINE" tests/run.cmd --prebuilt $bin unit) || rc=1
    return $rc
}

part_quickstart() {
    local rc=0

    check 'quickstart.sh --once' "$ROOT/deploy/quickstart.sh" --once || rc=1
    check 'quickstart.sh --once --windows' "$ROOT/deploy/quickstart.sh" --once --windows || rc=1
    return $rc
}
