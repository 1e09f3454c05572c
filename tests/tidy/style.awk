# style.awk - the rules that one file, or one include, can break. Called by style.sh with the paths
# of all text files, relative to the root. Prints "path:line: rule: what is wrong".

function complain(line, rule, text) {
    printf "%s:%d: %s: %s\n", path, line, rule, text
}

function base_name(file) {
    sub(/.*\//, "", file)
    return file
}

# The header that a source belongs to: its own name, or that with "_something" taken off, so that
# port_epoll.c finds port.h.
function own_header(file, stem) {
    stem = base_name(file)
    sub(/\.[ch]$/, "", stem)
    while (!((stem ".h") in floor_of) && stem ~ /_/)
        sub(/_[^_]*$/, "", stem)
    return ((stem ".h") in floor_of) ? stem ".h" : ""
}

# stream_nng.h is a part of stream.h's module: what stands between its files only.
function is_part_of(name, whole, stem) {
    stem = name
    while (stem ~ /_/) {
        sub(/_[^_]*$/, "", stem)
        if (stem ".h" == whole)
            return 1
    }
    return 0
}

function learn_headers(i, name, first, second, note) {
    for (i = 1; i < ARGC; i++) {
        if (ARGV[i] !~ /\.h$/)
            continue
        path = ARGV[i]
        name = base_name(path)
        first = second = ""
        getline first <path
        getline second <path
        close(path)
        if (name in floor_of)
            complain(1, "same-name", "another header is called '" name "' too")
        where_is[name] = path
        if (path ~ /(^|\/)include\//) { # for users: knows nothing of floors, and stands on none
            floor_of[name] = 0
            is_included[name] = 1
            continue
        }
        note = "// " name " - "
        if (substr(first, 1, length(note)) != note)
            complain(1, "first-line", "a header begins '" note "one sentence.'")
        if (second ~ /^\/\/ Floor [0-5]\./)
            floor_of[name] = substr(second, 10, 1) + 0
        else {
            floor_of[name] = -1
            complain(2, "floor-line", "line 2 of a header is '// Floor N.'")
        }
    }
}

function start_file(own) {
    path = FILENAME
    is_c = path ~ /\.[ch]$/
    is_test = path ~ /^tests\//
    is_twin = path ~ /_(win32|linux|iocp|epoll)\.[ch]$/
    is_markdown = path ~ /\.md$/
    is_cmd = path ~ /\.cmd$/
    limit = is_test ? 700 : 500
    function_start = 0
    floor = 9 # tests may use anything
    own_name = ""
    if (!is_c || is_test)
        return
    own_name = own_header(path)
    if (path ~ /(^|\/)main\.c$/ || path ~ /\/examples\//)
        floor = 6
    else if (own_name != "")
        floor = floor_of[own_name]
    else
        complain(1, "first-line", "no header belongs to this source")
}

function check_floor(name) {
    is_included[name] = 1
    if (!(name in floor_of) || name == own_name || floor < 0 || is_part_of(base_name(path), name))
        return
    if (own_name != "" && is_part_of(name, own_name)) {
        is_private[name] = own_name
        return
    }
    if (floor != 9)
        public_use[name] = path ":" FNR
    if (floor_of[name] >= floor && !(floor_of[name] == 0 && floor == 0))
        complain(FNR, "floor", "floor " floor " includes '" name "' of floor " floor_of[name])
}

function check_include(line, name, system_name) {
    system_name = line ~ /</
    name = line
    sub(/^[^<"]*[<"]/, "", name)
    sub(/[>"].*/, "", name)
    if (!system_name)
        check_floor(base_name(name))
    if (name ~ /^nng\// && path !~ /(^|\/)stream[a-z_]*\.[ch]$/)
        complain(FNR, "nng", "nng is for stream.c and its parts alone")
    if (name ~ /^msgpack(\.h|\/)/ && path !~ /(^|\/)envelope[a-z_]*\.[ch]$/)
        complain(FNR, "msgpack", "msgpack is for envelope.c and its parts alone")
    if (name == "yaml.h" && path !~ /(^|\/)config[a-z_]*\.[ch]$/)
        complain(FNR, "yaml", "libyaml is for config.c and its parts alone")
    if (system_name && !is_twin && name ~ os_headers)
        complain(FNR, "platform", "<" name "> is for twins only")
}

function check_c(line) {
    if (line ~ /^[ ]*#[ ]*include/) {
        check_include(line)
        return
    }
    if (line == "{" && !function_start)
        function_start = FNR - 1
    if (line ~ /^}/ && function_start) {
        if (FNR - function_start + 1 > 70)
            complain(function_start, "function-size", FNR - function_start + 1 " lines; 70 at most")
        function_start = 0
    }
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    sub(/\/\/.*/, "", line)
    if (!is_twin && line ~ os_words)
        complain(FNR, "platform", "words of one system are for twins only")
    if (line ~ /(^|[^A-Za-z0-9_])nng_[a-z]/ && path !~ /(^|\/)stream[a-z_]*\.[ch]$/)
        complain(FNR, "nng", "nng is for stream.c and its parts alone")
    if (line ~ /(^|[^A-Za-z0-9_])msgpack_[a-z]/ && path !~ /(^|\/)envelope[a-z_]*\.[ch]$/)
        complain(FNR, "msgpack", "msgpack is for envelope.c and its parts alone")
    if (line ~ /(^|[^A-Za-z0-9_])yaml_[a-z]+_/ && path !~ /(^|\/)config[a-z_]*\.[ch]$/)
        complain(FNR, "yaml", "libyaml is for config.c and its parts alone")
}

# What cmd.exe under Wine gets wrong or lacks: the scripts must mean the same there and on Windows.
function check_cmd(line) {
    if (line ~ /^[ ]*(rem|::)/ || line ~ /^[ ]*echo[ .]/)
        return
    if (line ~ /&&|\|\|/)
        complain(FNR, "cmd", "'&&' and '||' run both sides under Wine")
    if (tolower(line) ~ /(^|[ (@])(findstr|timeout|where|powershell|tasklist|curl|tar)( |\.exe|$)/)
        complain(FNR, "cmd", "a command that Wine's cmd.exe has not")
}

function check_text(line, columns) {
    if (is_cmd)
        sub(/\r$/, "", line)
    if (line ~ /\t/)
        complain(FNR, "tab", "a tab")
    if (line ~ /[ \t\r]$/)
        complain(FNR, "trailing-blank", "blanks at the end of the line")
    columns = line
    gsub(/[\200-\277]/, "", columns) # all but the first byte of a character in UTF-8
    if (!is_markdown && length(columns) > 100)
        complain(FNR, "width", length(columns) " columns; 100 at most")
    if (line ~ unfinished)
        complain(FNR, "unfinished", "say it in words, or finish it")
}

BEGIN {
    # Put together, so that this file does not find itself.
    unfinished = "(^|[^A-Za-z0-9_])(TO" "DO|FIX" "ME|X" "XX)([^A-Za-z0-9_]|$)"
    os_words = "(^|[^A-Za-z0-9_])(_WIN(32|64)|WIN32|__(linux|unix|APPLE|MINGW32|MINGW64)(__)?|" \
        "_MSC_VER|_GNU_SOURCE|_POSIX_C_SOURCE)([^A-Za-z0-9_]|$)"
    os_headers = "^((windows|winsock2?|ws2tcpip|mswsock|winternl|psapi|sddl|aclapi|bcrypt|" \
        "tlhelp32|shlobj|io|direct|process|unistd|pthread|signal|poll|fcntl|dlfcn|sched|syslog|" \
        "pwd|grp|spawn|netdb|ifaddrs|threads)[.]h|(sys|netinet|arpa|linux|net)/.*)$"
    learn_headers()
}

FNR == 1 { start_file() }
FNR == limit + 1 && is_c { complain(FNR, "file-size", "more than " limit " lines") }
{ check_text($0) }
is_c { check_c($0) }
is_cmd { check_cmd($0) }

END {
    for (name in is_private) {
        if (name in public_use)
            printf "%s: floor: '%s' is a private part of '%s'\n", public_use[name], name,
                is_private[name]
    }
    for (name in where_is) {
        if (!(name in is_included)) {
            path = where_is[name]
            complain(1, "dead-header", "nobody includes it")
        }
    }
}
