#!/bin/bash
# baseline-sqlite-vec.sh - vec0.so, the SQLite extension sqlite-vec, from its npm package.
#
#   baseline-sqlite-vec.sh            fetches it unless the cache has it, prints its prefix
#   baseline-sqlite-vec.sh --describe prints its build.json
#   baseline-sqlite-vec.sh --sums     prints the sha256 of each of its files, as sha256sum does
#
# Nothing of it is linked: configs/examples/external/sqlite_vec.py loads it in a process of its own.
set -euo pipefail
# shellcheck source=src/build/baseline-cache.sh
. "$(dirname "$0")/baseline-cache.sh"

version=0.1.9
package=sqlite-vec-linux-x64
tarball_sha256=d75c33662b3ce690d122a5f4285a3acf2f6ba288c46331a7b1fad593b6da2908

build_peer() { # FOLDER
    say "fetching sqlite-vec ($package@$version)"
    fetch_npm "$package" "$version" "$tarball_sha256" "$1"
    mv "$1/package/vec0.so" "$1/"
    rm -r "$1/package"
    printf '{"name": "sqlite-vec", "version": "%s", "compiler": "its authors", "flags": "", "simd": "%s"}\n' \
        "$version" "$(simd_of "$1/vec0.so")" >"$1/build.json"
}

prefix=$peers/sqlite-vec-$version-$(printf '%s' "$tarball_sha256" | short_hash)
serve_baseline "$prefix" "$@"
