#!/bin/bash
# include-graph.sh - holds the sources to the design's "Who may call whom".
#
#   kernels <- src/core <- algorithms/common <- a method;   src/data <- src/core
#   src/harness uses core, data and the methods' table, never a method's own header
#   a method, a kernel and the core print nothing, never exit, and read no clock and no environment
#
# It also refuses names of registry hosts and of this checkout's place in tracked files.
# Exit status 1 when something is found, each with file, line and rule.
set -u

report() { # RULE, offenders on stdin as FILE:LINE:TEXT
    local lines
    lines=$(cat)
    [ -n "$lines" ] || return
    printf '%s\n' "$lines" | cut -c1-160 | sed "s/^/  /; 1i$1:"
}

sources() { find "$@" -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' 2>/dev/null | sort; }

# "FILE:LINE:INCLUDED" with what is included as a path from the root.
includes() {
    sources kernels src algorithms | xargs grep -HnE '^[ \t]*#[ \t]*include[ \t]*"' /dev/null |
        sed -E 's/^([^:]*:[0-9]*):[^"]*"([^"]*)".*/\1 \2/' |
        while read -r place path; do
            file=${place%%:*}
            for base in "${file%/*}" . src; do
                if [ -e "$base/$path" ]; then
                    # a/b/../c is a/c
                    printf '%s:%s\n' "$place" "$(realpath -m --relative-to=. "$base/$path")"
                    continue 2
                fi
            done
            printf '%s:%s\n' "$place" "$path"
        done
}

# Code without its comments, line by line, so that a comment may speak of printf().
code() {
    sources "$@" | while read -r file; do
        awk -v file="$file" '
            {
                line = $0; out = ""
                while (line != "") {
                    if (inside) {
                        end = index(line, "*/")
                        if (!end) { line = ""; break }
                        line = substr(line, end + 2); inside = 0
                    }
                    start = index(line, "/*")
                    if (!start) { out = out line; break }
                    out = out substr(line, 1, start - 1); line = substr(line, start + 2); inside = 1
                }
                sub(/\/\/.*/, "", out)
                gsub(/"([^"\\]|\\.)*"/, "\"\"", out)
                if (out ~ /[^ \t]/) print file ":" FNR ":" out
            }' "$file"
    done
}

check_layers() {
    # Which layer may include which, itself apart. registry.def is the one list of methods, open to all.
    includes | awk -F: '
        function layer(path,   part) {
            split(path, part, "/")
            if (part[1] == "src") return "src/" part[2]
            if (part[1] == "algorithms" && part[3] != "") return "algorithms/" part[2]
            return part[1]
        }
        function may(from, to) {
            if (from == to || to == "build_info.h") return 1
            if (from == "kernels") return 0
            if (to == "kernels" || to == "src/core") return 1
            if (to == "algorithms/common") return from ~ /^algorithms\//
            if (to == "src/data") return from == "src/harness"
            return 0
        }
        $3 == "algorithms/registry.def" { next }
        { from = layer($1); to = layer($3); if (!may(from, to)) print $1 ":" $2 ": " from " may not include " $3 }
    ' | report "against the layers"
}

check_manners() {
    local quiet
    quiet="$(code kernels src/core algorithms)"
    local before='(^|[^A-Za-z0-9_.>])'
    printf '%s\n' "$quiet" | grep -E "$before(printf|vprintf|puts|putchar|perror)[ ]*\(|$before(stdout|stderr)([^A-Za-z0-9_]|\$)|std::c(out|err)" |
        report "a method, a kernel or the core prints"
    printf '%s\n' "$quiet" | grep -E "$before(exit|_exit|quick_exit)[ ]*\(" |
        report "a method, a kernel or the core exits"
    printf '%s\n' "$quiet" | grep -E "$before(getenv|secure_getenv|setenv|putenv)[ ]*\(" |
        report "a method, a kernel or the core reads the environment"
    printf '%s\n' "$quiet" | grep -E "$before(time|clock|clock_gettime|gettimeofday|rdtsc|__rdtsc)[ ]*\(|std::chrono" |
        report "a method, a kernel or the core reads a clock"

    sources kernels src/core src/data algorithms | xargs grep -HnE '#[ \t]*include[ \t]*<(lua|lauxlib|lualib|jansson)' /dev/null |
        report "Lua and JSON belong to src/harness"
    sources algorithms | xargs grep -HnE '#[ \t]*include[ \t]*<(time|sys/time|curl/[a-z]*)\.h>' /dev/null |
        report "a method sees no clock and no network"
}

# What only this machine knows must not be in a tracked file: its mirrors' names, where the checkout lies.
check_places() {
    git rev-parse --git-dir >/dev/null 2>&1 || return
    {
        command -v apt-get >/dev/null && apt-get indextargets --format "\$(REPO_URI)" 2>/dev/null
        command -v npm >/dev/null && sed -n 's/^registry *= *//p' "$HOME/.npmrc" /etc/npmrc 2>/dev/null
    } | sed -nE 's#^[a-z+]*://([^/@]*@)?([^/:]+).*#\2#p' | sort -u | while read -r host; do
        git grep -nIF "$host" -- .
    done | report "a registry's host is named"
    git grep -nIF -e "$PWD/" -e "$(dirname "$PWD")/shared" -- . | report "this checkout's own place is named"
}

found=$(check_layers; check_manners; check_places)
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
