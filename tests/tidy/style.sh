#!/usr/bin/env bash
# style.sh - the style test: sizes, floors, who may see which library, and what a tree must have.
# usage: style.sh [ROOT]. Prints "path:line: rule: what is wrong"; exit code 1 when there is any.
set -euo pipefail
export LC_ALL=C

TIDY=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "${1:-$TIDY/../..}"

# Everything of ours, without what is built and what fuzzers eat.
files() {
    find . \( -name .git -o -path ./build -o -path ./out -o -path './tests/fuzz/corpus*' \) -prune \
        -o -type f "$@" -print | sed 's|^\./||' | sort
}

text_files() {
    files \( -name '*.[ch]' -o -name '*.sh' -o -name '*.awk' -o -name '*.cmd' -o -name '*.md' \
        -o -name '*.cmake' -o -name CMakeLists.txt -o -name '*.in' -o -name '*.json' \
        -o -name '*.yaml' -o -name '*.yml' -o -path './.ci/*' -o -name '.clang*' \)
}

final_newlines() {
    local file

    for file in "$@"; do
        if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
            printf '%s:1: final-newline: the last line does not end\n' "$file"
        fi
    done
}

# Each folder with sources says in at most 25 lines what it is for. The folders below include/ are
# the user's, their README is the worker's.
folder_papers() {
    local folder lines

    files \( -name '*.[ch]' -o -name '*.sh' -o -name '*.cmd' -o -name '*.cmake' -o \
        -name CMakeLists.txt \) | grep / | sed 's|/[^/]*$||' | sort -u |
        grep -Ev '(^|/)include(/|$)|^\.' |
        while read -r folder; do
            if [ ! -f "$folder/README.md" ]; then
                printf '%s:1: readme: the folder has no README.md\n' "$folder"
                continue
            fi
            lines=$(wc -l <"$folder/README.md")
            if [ "$lines" -gt 25 ]; then
                printf '%s/README.md:26: readme: %d lines; 25 at most\n' "$folder" "$lines"
            fi
        done
}

# The sources that some CMakeLists.txt names, as paths from the root. A name without its ".c" will
# do, and so will test_${suite}.c when the rest of the name stands in the same file.
built_sources() {
    # shellcheck disable=SC2016 # the dollar signs are for awk and CMake
    files -name CMakeLists.txt | tr '\n' '\0' | xargs -0 awk '
        function tell(name) {
            sub(/\.c$/, "", name)
            print (name ~ /^\// ? substr(name, 2) : folder "/" name) ".c"
        }
        function tell_all(i, j) {
            for (i in words) {
                tell(i)
                for (j in patterns)
                    tell(substr(j, 1, index(j, "$") - 1) i substr(j, index(j, "}") + 1))
            }
            split("", words)
            split("", patterns)
        }
        FNR == 1 {
            tell_all()
            folder = FILENAME
            sub(/\/?CMakeLists.txt$/, "", folder)
            folder = folder == "" ? "." : folder
        }
        /^ *#/ { next }
        {
            line = $0
            while (match(line, /[A-Za-z0-9_.\/-]*\$\{[a-z_]+\}[A-Za-z0-9_.\/-]*\.c/)) {
                patterns[substr(line, RSTART, RLENGTH)] = 1
                line = substr(line, RSTART + RLENGTH)
            }
            gsub(/\$\{[A-Za-z_]+\}/, " ") # a path after a variable is one from the root
            gsub(/[^A-Za-z0-9_.\/-]/, " ")
            for (i = 1; i <= NF; i++)
                words[$i] = 1
        }
        END { tell_all() }
    ' | sed -e 's|^\./||' -e ':a' -e 's|[^/.][^/]*/\.\./||' -e 'ta' | sort -u
}

dead_files() {
    comm -23 <(files -name '*.c') <(built_sources) |
        sed 's|$|:1: dead-file: no CMakeLists.txt names it|'
}

main() {
    local texts found

    mapfile -t texts < <(text_files)
    found=$(
        awk -f "$TIDY/style.awk" "${texts[@]}"
        final_newlines "${texts[@]}"
        folder_papers
        dead_files
    )
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        return 1
    fi
    printf 'style: %d files, nothing found\n' "${#texts[@]}"
}

main
