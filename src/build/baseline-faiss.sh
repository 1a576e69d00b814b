#!/bin/bash
# baseline-faiss.sh - FAISS with its C API, built for this processor from Debian's source package.
#
#   baseline-faiss.sh            builds it unless the cache has it, prints its prefix
#   baseline-faiss.sh --prefix   prints the prefix it has or would have
#   baseline-faiss.sh --describe prints how it was built, as in build.json
#   baseline-faiss.sh --sums     prints the sha256 of each of its files, as sha256sum does
#
# Debian's own library is compiled without any AVX and lacks the C API: against it FAISS would be a straw
# man. From the environment: CXX, DRIFTLINE_PORTABLE=1 (SSE only, and build.json says so),
# FAISS_PREFIX (a FAISS of the user's; it must have lib/libfaiss_c.so), DRIFTLINE_CACHE.
set -euo pipefail
# shellcheck source=src/build/baseline-cache.sh
. "$(dirname "$0")/baseline-cache.sh"

version=1.7.3
package=faiss=1.7.3-2
tarball=faiss_1.7.3.orig.tar.gz
tarball_sha256=3e4fac26d8c9e9008ecea4ae5fc414c658998fce4ba75835058b1a71d3516002
CXX=${CXX:-g++}
native=-march=native portable=0 for="for this processor"
case ${DRIFTLINE_PORTABLE:-0} in 0 | "") ;; *) native=-march=x86-64-v2 portable=1 for="portable, without AVX" ;; esac
flags="-O3 -DNDEBUG $native"

prefix_here() {
    local hash
    hash=$({
        "$CXX" --version | head -n 1
        printf '%s\n' "$flags" "$tarball_sha256" "recipe 2"
        [ "$portable" = 1 ] || grep -m 1 '^flags' /proc/cpuinfo
    } | short_hash)
    printf '%s/faiss-%s-%s\n' "$peers" "$version" "$hash"
}

describe() { # PREFIX VERSION COMPILER FLAGS
    printf '{"name": "faiss", "version": "%s", "compiler": "%s", "flags": "%s", "simd": "%s"}\n' \
        "$2" "$3" "$4" "$(simd_of "$1/lib/libfaiss.so")"
}

# A FAISS of the user's: only its version and its machine code can tell about it.
foreign() { # PREFIX OPTION
    if [ ! -e "$1/lib/libfaiss_c.so" ] || [ ! -e "$1/lib/libfaiss.so" ]; then
        fail "FAISS_PREFIX: $1/lib has no libfaiss.so and libfaiss_c.so;" \
            "build FAISS with -DFAISS_ENABLE_C_API=ON -DBUILD_SHARED_LIBS=ON"
    fi
    local its_version
    its_version=$(awk '/#define FAISS_VERSION_(MAJOR|MINOR|PATCH)/ { v = v sep $3; sep = "." } END { print v }' \
        "$1/include/faiss/Index.h")
    case $2 in
        --describe) describe "$1" "$its_version" "" "unknown, by FAISS_PREFIX" ;;
        --sums) sha256sum "$1/lib/libfaiss.so" "$1/lib/libfaiss_c.so" ;;
        --prefix) printf '%s\n' "$1" ;;
        *)
            [ "$(printf '%s\n' 1.7.3 "$its_version" | sort -V | head -n 1)" = 1.7.3 ] ||
                fail "FAISS_PREFIX: $1 has FAISS ${its_version:-without a version}; 1.7.3 or later is needed"
            say "FAISS $its_version, by FAISS_PREFIX"
            [ "$(printf '%s\n' "$its_version" 1.15.999 | sort -V | tail -n 1)" = 1.15.999 ] ||
                say "warning: FAISS $its_version is later than 1.15, the last version that its interface was written for"
            printf '%s\n' "$1"
            ;;
    esac
}
if [ -n "${FAISS_PREFIX:-}" ]; then
    foreign "$FAISS_PREFIX" "${1:-}"
    exit 0
fi

# Downloads the tarball into a folder with apt, by the mirror this machine's apt uses already, but with lists
# and caches of its own: that needs neither root nor a deb-src line in the system's configuration.
fetch() { # FOLDER
    local apt=$1/apt mirror
    # shellcheck disable=SC2016  # apt's variables
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(ORIGIN) $(LABEL) $(CODENAME)' \
        'Created-By: Packages' | awk '$2 == "main" && $3 == "Debian" && $4 == "Debian" && $5 !~ /-/ { print $1; exit }')
    [ -n "$mirror" ] || fail "FAISS: apt knows no Debian mirror here (is apt-get update needed?)"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" || return 1
    printf 'deb-src %s bookworm main\n' "$mirror" >"$apt/sources.list"
    local options=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=-
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache")
    [ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
    apt-get "${options[@]}" update || return 1
    (cd "$1" && apt-get "${options[@]}" --download-only source "$package") || return 1
    check_sha256 "$1/$tarball" "$tarball_sha256"
}

# shellcheck disable=SC2016  # the linker's $ORIGIN
compile() { # FOLDER-WITH-TARBALL
    mkdir "$1/source"
    tar -xzf "$1/$tarball" -C "$1/source" --strip-components=1 || return 1
    # faiss_c links faiss, not faiss_avx2, so the flags go to the generic target. -w: warnings there are not ours.
    cmake -S "$1/source" -B "$1/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$CXX" \
        -DCMAKE_CXX_FLAGS="$native -w" -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=OFF -DBLA_VENDOR=OpenBLAS \
        -DFAISS_ENABLE_GPU=OFF -DFAISS_ENABLE_PYTHON=OFF -DFAISS_ENABLE_C_API=ON -DFAISS_OPT_LEVEL=generic \
        -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN' || return 1
    cmake --build "$1/build" --target faiss faiss_c -j "$(nproc)"
}

# Every tenth of the way, from make's percentages.
progress() {
    tee -a "$1" | awk -F'[][%]' '
        /^\[ *[0-9]+%\]/ { done = int($2 / 20) * 20; if (done > last) { last = done; print done; fflush() } }' |
        while read -r percent; do say "building FAISS: $percent %"; done
}

build_baseline() { # FOLDER
    local work log=$prefix.log
    work=$(mktemp -d "${TMPDIR:-/tmp}/driftline-faiss.XXXXXX")
    # shellcheck disable=SC2064  # the names as they are now
    trap "rm -rf '$work' '$1'" EXIT
    say "building FAISS $version $for, once, about 90 s on 2 cores (log: $log)"
    : >"$log"
    if ! (fetch "$work") >>"$log" 2>&1; then
        tail -n 3 "$log" >&2
        fail "FAISS: its source could not be fetched; see $log"
    fi
    if ! (compile "$work") 2>&1 | progress "$log"; then
        grep -m 3 -iE 'error' "$log" >&2
        fail "FAISS: the build failed; see $log"
    fi
    mkdir -p "$1/lib" "$1/include/faiss/c_api"
    cp "$work"/build/faiss/libfaiss.so "$work"/build/c_api/libfaiss_c.so "$1/lib/"
    (cd "$work/source" && find faiss -name '*.h' -exec cp --parents -t "$1/include" {} +)
    (cd "$work/source/c_api" && find . -name '*.h' ! -path './gpu/*' -exec cp --parents -t "$1/include/faiss/c_api" {} +)
    cp "$work"/source/LICENSE "$1/"
    describe "$1" "$version" "$("$CXX" --version | head -n 1)" "$flags" >"$1/build.json"
}

prefix=$(prefix_here)
serve_baseline "$prefix" "$@"
