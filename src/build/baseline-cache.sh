# shellcheck shell=bash
# baseline-cache.sh - sourced by baseline-*.sh: where built baselines are, and how one gets there completely or not at all.
#
# A baseline's folder is peers/NAME-VERSION-HASH in DRIFTLINE_CACHE, the hash over all that its content depends
# on; it holds the baseline, build.json and SHA256SUMS of both, by which it is checked whenever it is used again. A second
# clone, or a `make clean`, costs no second build.

# As src/cli/main.c finds it: HOME and XDG_CACHE_HOME count only if they are whole paths.
cache=${DRIFTLINE_CACHE:-}
case $cache in '' | /*) ;; *) cache=$PWD/$cache ;; esac
case ${XDG_CACHE_HOME:-} in /*) cache=${cache:-$XDG_CACHE_HOME/driftline} ;; esac
case ${HOME:-} in /*) cache=${cache:-$HOME/.cache/driftline} ;; esac
if [ -z "$cache" ]; then
    printf 'driftline: baselines: there is no place for the cache: neither HOME nor XDG_CACHE_HOME is set to a whole path; %s\n' \
        'name a folder of your own with DRIFTLINE_CACHE' >&2
    exit 1
fi
peers=$cache/peers
umask go-w
case $cache in
    *[[:space:]]*)
        printf 'driftline: baselines: no spaces please in the cache folder "%s"; DRIFTLINE_CACHE names another\n' "$cache" >&2
        exit 1
        ;;
esac

say() { printf 'driftline: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

short_hash() { sha256sum | cut -c1-12; }

check_sha256() { # FILE EXPECTED
    local got
    got=$(sha256sum "$1" | cut -d' ' -f1)
    [ "$got" = "$2" ] || fail "${1##*/}: sha256 is $got, expected $2; refused"
}

# Unpacks an npm package of this very content to FOLDER/package, by npm's own client; runs nothing of it.
fetch_npm() { # NAME VERSION SHA256 FOLDER
    # shellcheck disable=SC2154  # the script that sources this names its folder
    local log=$prefix.log
    command -v npm >/dev/null || fail "$1: no npm on PATH to fetch it with"
    if ! (cd "$4" && npm pack --silent --ignore-scripts "$1@$2") >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        fail "$1: npm could not fetch $1@$2; see $log"
    fi
    check_sha256 "$4/$1-$2.tgz" "$3"
    tar -xzf "$4/$1-$2.tgz" -C "$4"
    rm "$4/$1-$2.tgz"
}

# The widest vector registers that a library's machine code uses: avx512, avx2 or none. A few stray
# instructions, of functions chosen at run time, do not count.
simd_of() { # FILE
    objdump -d "$1" 2>/dev/null | awk '
        /%zmm/ { zmm++ } /%ymm/ { ymm++ }
        END { print (zmm > 1000 ? "avx512" : (ymm > 1000 ? "avx2" : "none")) }'
}

# Makes the cache's folder, and holds it to what src/data/fetch/cache.c does: what lies in it is linked into the program.
check_cache() {
    local above
    # shellcheck disable=SC2174  # the mode is for the last folder
    mkdir -p -m 700 "$cache" || fail "cannot write the cache $cache; DRIFTLINE_CACHE names another"
    [ ! -L "$cache" ] || fail "$cache: the cache must be a folder, not a link; name its place with DRIFTLINE_CACHE"
    [ "$(stat -c %u "$cache")" = "$(id -u)" ] ||
        fail "$cache: the cache belongs to $(stat -c %U "$cache"), not to you; name another with DRIFTLINE_CACHE"
    [ $((0$(stat -c %a "$cache") & 022)) = 0 ] ||
        fail "$cache: others may write the cache; chmod go-w it once nothing strange lies in it"
    above=$(realpath "$cache")
    while [ "$above" != / ]; do
        above=$(dirname "$above")
        [ $((0$(stat -c %a "$above") & 01002)) != 2 ] ||
            fail "$above: everybody may write the folder above the cache; name another with DRIFTLINE_CACHE"
    done
}

# Whether the folder holds what its build left; names what does not, unless there is nothing at all.
intact() { # PREFIX
    [ -e "$1/SHA256SUMS" ] || return 1
    (cd "$1" && sha256sum --check --quiet --strict SHA256SUMS) >&2 && return
    say "$1 is not what was built there; it is kept as ${1##*/}.bad"
    return 1
}

seal() { # FOLDER
    local sums
    sums=$(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) || return 1
    printf '%s\n' "$sums" >"$1/SHA256SUMS"
}

# As sha256sum prints them, with whole paths: for configure.sh.
print_sums() { # PREFIX
    sed "s#  \./#  $1/#" "$1/SHA256SUMS"
}

# Calls `build_baseline TEMPORARY-FOLDER` unless $1 is there. Two makes at once: the second waits and finds it made.
publish() { # PREFIX
    check_cache
    intact "$1" 2>/dev/null && return
    mkdir -p "$peers" || fail "cannot write the cache $peers; DRIFTLINE_CACHE names another"
    exec 9>"$1.lock"
    if ! flock -n 9; then
        say "waiting for another build of ${1##*/}"
        flock 9
    fi
    intact "$1" && return
    local whole
    whole=$(mktemp -d "$peers/.new.XXXXXX") || exit 1
    # shellcheck disable=SC2064  # the name as it is now
    trap "rm -rf '$whole'" EXIT
    trap 'exit 130' INT TERM
    build_baseline "$whole"
    seal "$whole"
    chmod 755 "$whole"
    rm -rf "$1.bad"
    [ ! -e "$1/SHA256SUMS" ] || mv "$1" "$1.bad"
    rm -rf "$1"
    mv "$whole" "$1"
}

# The end of each script: with no option the baseline is there when its prefix is printed.
serve_baseline() { # PREFIX [OPTION]
    case ${2:-} in
        "")
            publish "$1"
            printf '%s\n' "$1"
            ;;
        --prefix) printf '%s\n' "$1" ;;
        --describe) cat "$1/build.json" ;;
        --sums) print_sums "$1" ;;
        *) fail "${0##*/}: unknown option $2" ;;
    esac
}
