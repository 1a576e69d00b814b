#!/bin/bash
# changed.sh - what differs from the last landed commit: in commits, in the working tree, and new files.
#
#   changed.sh             the files
#   changed.sh --sources   the C files among them, and those that include a header among them
#   changed.sh --threads   what T= of make tsan is to be: methods that changed, and unit tests of folders that changed where
#                          they speak of threads; divf, which has all that threads meet in, stands for the methods where
#                          all use what changed, and where more than three changed
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

# Of more than three methods, all tests would take longer than CI has: their unit tests that speak of threads do.
few_methods() {
    local names methods
    names=$(cat)
    methods=$(grep -cvE '[/.]' <<<"$names")
    if [ "$methods" -gt 3 ]; then
        sed -E '/[/.]/!s#^#unit/#; s#^unit/divf$#divf#' <<<"$names" | sort -u
    else
        printf '%s\n' "$names"
    fi
}

threads() {
    files | sed -nE '
        s#^(src/core|algorithms/common|kernels|tests/support|tests/contract)/.*#&\ndivf#
        s#^algorithms/common/([^/]+)/[^\n]*#unit/\1#
        s#^algorithms/([^/]+)/[^\n]*#\1#
        s#^src/([^/]+)/[^\n]*#unit/\1#
        s#^kernels/[^\n]*#unit/kernels#
        s#^tests/(unit/[^/]+)/.*#\1#
        p' | sort -u | few_methods | while read -r name; do
        case $name in
            unit/*) grep -rliE --include='test_*.c' 'thread|background' "tests/$name" 2>/dev/null | sed 's#^tests/##; s#\.c$##' ;;
            */* | *.* | '') ;;
            *) [ ! -d "algorithms/$name" ] || echo "$name" ;;
        esac
    done
}

case ${1:-} in
    '') files ;;
    --sources) sources ;;
    --threads) threads ;;
    *) echo "changed.sh: \"$1\"; expected --sources or --threads" >&2; exit 2 ;;
esac
