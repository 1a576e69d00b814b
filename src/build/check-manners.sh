#!/bin/bash
# check-manners.sh - what the sources must not do. Who may call whom is in layout.txt.
#
#   a method, a kernel and the core print nothing, never exit, and read no clock and no environment
#   no tracked file names a registry host or this checkout's place
#
# Exit status 1 when something is found, each with file, line and rule.
set -u

report() { # RULE, offenders on stdin as FILE:LINE:TEXT
    local lines
    lines=$(cat)
    [ -n "$lines" ] || return
    printf '%s\n' "$lines" | cut -c1-160 | sed "s/^/  /; 1i$1:"
}

sources() { find "$@" -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' 2>/dev/null | sort; }

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

check_manners() {
    local quiet
    # The emulated device is a test's, and says why it ends one; limits.cu is `bench cuda`'s, and times. Which CUDA library is loaded is like the loader's own
    # LD_LIBRARY_PATH; the result has its sha256.
    quiet="$(code kernels src/core algorithms | grep -vE '^kernels/cuda/(emulated/|loader\.c:.*getenv|limits\.cu:.*std::chrono)')"
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
        report "Lua and JSON belong to the folders above src/data"
    code src | awk '
        {
            at = index(substr($0, index($0, ":") + 1), ":") + index($0, ":")
            text = substr($0, at + 1)
            if (!begun && text ~ /(^|[^A-Za-z0-9_])(script_fail[a-z_]*|luaL_(arg)?error|fail|fail_errno)[ ]*\(/) {
                begun = substr($0, 1, at); call = ""
            }
            if (begun) call = call text
            if (begun && text ~ /[;{]/) {
                if (call ~ /luaL_tolstring|lua_(push[a-z]*|next|geti|getfield|rawget[a-z]*|pop|concat)[ ]*\(/) print begun call
                begun = ""
            }
        }' | report "a message changes the stack of Lua in its arguments, whose order is not fixed"
    sources algorithms | xargs grep -HnE '#[ \t]*include[ \t]*<(time|sys/time|curl/[a-z]*)\.h>' /dev/null |
        report "a method sees no clock and no network"
}

# What only this machine knows must not be in a tracked file: its mirrors' names, where the checkout lies.
check_places() {
    git rev-parse --git-dir >/dev/null 2>&1 || return
    {
        command -v apt-get >/dev/null && apt-get indextargets --format "\$(REPO_URI)" 2>/dev/null
        command -v npm >/dev/null && sed -n 's/^registry *= *//p' "${HOME:-}/.npmrc" /etc/npmrc 2>/dev/null
    } | sed -nE 's#^[a-z+]*://([^/@]*@)?([^/:]+).*#\2#p' | sort -u | while read -r host; do
        git grep -nIF "$host" -- .
    done | report "a registry's host is named"
    git grep -nIF -e "$PWD/" -e "$(dirname "$PWD")/shared" -- . | report "this checkout's own place is named"
}

found=$(check_manners; check_places)
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
