#!/bin/bash
# baseline-usearch.sh - usearch's C interface and headers, from its npm package.
#
#   baseline-usearch.sh            fetches them unless the cache has them, prints its prefix
#   baseline-usearch.sh --describe prints its build.json
#   baseline-usearch.sh --sums     prints the sha256 of each of its files, as sha256sum does
#
# Nothing is compiled here: algorithms/usearch/shim.cc is its C interface with our own flags.
set -euo pipefail
# shellcheck source=src/build/baseline-cache.sh
. "$(dirname "$0")/baseline-cache.sh"

version=2.25.3
tarball_sha256=006132253b3484a58726afbf300baf449c680cba00f2d2a869011415ed16db3e

build_baseline() { # FOLDER
    say "fetching usearch's sources (usearch@$version)"
    fetch_npm usearch "$version" "$tarball_sha256" "$1"
    mkdir -p "$1/include/usearch/c"
    mv "$1"/package/include/usearch/*.hpp "$1/include/usearch/"
    mv "$1/package/c/usearch.h" "$1/package/c/lib.cpp" "$1/include/usearch/c/"
    rm -r "$1/package"
    printf '{"name": "usearch", "version": "sources of npm %s", "compiler": "", "flags": "", "simd": ""}\n' \
        "$version" >"$1/build.json"
}

prefix=$peers/usearch-$version-$(printf '%s' "$tarball_sha256" | short_hash)
serve_baseline "$prefix" "$@"
