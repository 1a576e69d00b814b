#!/bin/bash
# changed.sh - what differs from the last landed commit: in commits, in the working tree, and new files.
#
#   changed.sh             the files
#   changed.sh --sources   the C files among them, and those that include a header among them
#   changed.sh --tests SECONDS [threads]
#                          what T= of make asan or tsan is to be: unit tests of folders that changed; with threads those that
#                          speak of threads, and divf's where all use what changed, for it has all that threads meet in.
#                          The quickest first, as many as take SECONDS of a processor in a run without sanitizer; what is left
#                          for make nightly is named on standard error
#
# The last landed commit is DRIFTLINE_BASE, or else the branch's upstream, or else, where there is none or it is HEAD, the
# newest commit that is four hours older than HEAD: a session of work.
# Who includes a header is read from the dependencies of earlier builds.
set -eu

cd "$(dirname "$0")/../.."
git rev-parse -q --verify HEAD >/dev/null || exit 0

base() {
    local head upstream now
    head=$(git rev-parse HEAD)
    if [ -n "${DRIFTLINE_BASE:-}" ]; then
        git rev-parse --verify "$DRIFTLINE_BASE^{commit}"
        return
    fi
    if upstream=$(git rev-parse -q --verify '@{upstream}' 2>/dev/null) && [ "$upstream" != "$head" ]; then
        git merge-base "$upstream" HEAD
        return
    fi
    now=$(git log -1 --format=%ct)
    git rev-list -1 --before=$((now - 4 * 3600)) HEAD
}

files() {
    local from
    from=$(base)
    {
        if [ -n "$from" ]; then git diff --name-only --diff-filter=d "$from"; else git ls-files; fi
        git ls-files --others --exclude-standard
    } | sort -u
}

sources() {
    local changed
    changed=$(files)
    {
        grep -E '^(src|algorithms|kernels|tests)/.*\.c$' <<<"$changed"
        grep -E '\.(h|def)$' <<<"$changed" | sed 's/$/:/' | {
            # -MP gives each header a rule of its own; the first rule of a file names what is compiled.
            grep -rlFx -f - --include='*.d' build/release/obj build/lint 2>/dev/null |
                sed -nE 's#^build/(release/obj|lint)/(.*\.c)\.d$#\2#p'
        }
    } | sort -u | while read -r file; do [ ! -e "$file" ] || echo "$file"; done
}

# Prints the unit tests with a pattern in folders that changed, or below which folders changed.
tests_of_touched() { # PATTERN
    files | sed -nE '
        s#^(src/core|algorithms/common|kernels|tests/support|tests/contract)/.*#&\ndivf#
        s#^(algorithms/common|algorithms|src|tests/unit)/([^/]+)/[^\n]*#\2#
        s#^kernels/[^\n]*#kernels#
        s#^(faiss|hnswlib|usearch)$#baselines#
        p' | grep -v / | sort -u | while read -r folder; do
        grep -rliE --include='test_*.c' -e "$1" "tests/unit/$folder" 2>/dev/null | sed 's#^tests/##; s#\.c$##'
    done
}

# A test that nobody has timed costs half a second.
tests_within() { # SECONDS
    awk 'FNR == NR { spent[$1] = $3; next } { print (spent["tests/" $1] ? spent["tests/" $1] : .5), $1 }' tests/times.txt - |
        sort -n | awk -v most="$1" '
            (spent += $1) <= most { print $2; next }
            { left = left " " $2 }
            END { if (left) print "left for make nightly:" left >"/dev/stderr" }'
}

case ${1:-} in
    '') files ;;
    --sources) sources ;;
    --tests)
        case ${2:-} in '' | *[!0-9]*) echo "changed.sh: --tests \"${2:-}\"; expected a number of seconds" >&2; exit 2 ;; esac
        tests_of_touched "$([ "${3:-}" = threads ] && echo 'thread|background' || echo .)" | tests_within "$2"
        ;;
    *) echo "changed.sh: \"$1\"; expected --sources or --tests" >&2; exit 2 ;;
esac
