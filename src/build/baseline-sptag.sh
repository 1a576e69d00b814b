#!/bin/bash
# baseline-sptag.sh - SPTAG's Python module, with the released SPANN, from Debian's binary package.
#
#   baseline-sptag.sh            fetches it unless the cache has it, prints its prefix
#   baseline-sptag.sh --describe prints its build.json
#   baseline-sptag.sh --sums     prints the sha256 of each of its files, as sha256sum does
#
# Nothing of it is linked: configs/examples/external/sptag_spann.py loads it in a process of its own. Debian compiles for
# every processor of the architecture; SPTAG chooses its distance functions (AVX-512, AVX2) when it starts.
set -euo pipefail
# shellcheck source=src/build/baseline-cache.sh
. "$(dirname "$0")/baseline-cache.sh"

version=0.0~git20230301.0207479+ds-1
package=python3-sptag
package_sha256=3453def4c55c9a6ac3fdef1c71deef847b7c7c50414e968406e1c77bf03a0126

build_peer() { # FOLDER
    local log=$prefix.log
    say "fetching SPTAG ($package=$version)"
    mkdir "$1/deb"
    if ! (cd "$1/deb" && apt-get download "$package=$version") >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        fail "SPTAG: apt could not fetch $package=$version (is apt-get update needed?); see $log"
    fi
    mv "$1/deb"/*.deb "$1/deb/package.deb"
    check_sha256 "$1/deb/package.deb" "$package_sha256"
    dpkg-deb -x "$1/deb/package.deb" "$1/deb"
    mv "$1"/deb/usr/lib/python3/dist-packages/{SPTAG.py,_SPTAG.*.so} "$1/"
    mv "$1/deb/usr/share/doc/$package/copyright" "$1/LICENSE"
    rm -r "$1/deb"
    printf '{"name": "sptag", "version": "%s", "compiler": "Debian", "flags": "generic amd64", "simd": "%s"}\n' \
        "$version" "chosen when it starts"  >"$1/build.json"
}

prefix=$peers/sptag-$(printf '%s' "$package_sha256" | short_hash)
serve_baseline "$prefix" "$@"
