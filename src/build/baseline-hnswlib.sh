#!/bin/bash
# baseline-hnswlib.sh - hnswlib's headers, from the npm package that carries newer ones than Debian.
#
#   baseline-hnswlib.sh            fetches them unless the cache has them, prints its prefix
#   baseline-hnswlib.sh --describe prints its build.json
#   baseline-hnswlib.sh --sums     prints the sha256 of each of its files, as sha256sum does
#
# Header-only: the shim is compiled with our own flags, so nothing here depends on the processor.
set -euo pipefail
# shellcheck source=src/build/baseline-cache.sh
. "$(dirname "$0")/baseline-cache.sh"

version=3.0.0
tarball_sha256=4a8074485e5abe659d23e9998d97a00226db056ca466ada6eedbc512a4c4df01

build_baseline() { # FOLDER
    say "fetching hnswlib's headers (hnswlib-node@$version)"
    fetch_npm hnswlib-node "$version" "$tarball_sha256" "$1"
    mkdir "$1/include"
    mv "$1/package/src/hnswlib" "$1/include/"
    rm -r "$1/package"
    printf '{"name": "hnswlib", "version": "headers of hnswlib-node %s", "compiler": "", "flags": "", "simd": ""}\n' \
        "$version" >"$1/build.json"
}

prefix=$peers/hnswlib-$version-$(printf '%s' "$tarball_sha256" | short_hash)
serve_baseline "$prefix" "$@"
