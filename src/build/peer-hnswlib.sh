#!/bin/bash
# peer-hnswlib.sh - hnswlib's headers, from the npm package that carries newer ones than Debian.
#
#   peer-hnswlib.sh            fetches them unless the cache has them, prints its prefix
#   peer-hnswlib.sh --describe prints its build.json
#
# Header-only: the shim is compiled with our own flags, so nothing here depends on the processor.
set -euo pipefail
# shellcheck source=src/build/peer-cache.sh
. "$(dirname "$0")/peer-cache.sh"

version=3.0.0
package=hnswlib-node@$version
tarball_sha256=4a8074485e5abe659d23e9998d97a00226db056ca466ada6eedbc512a4c4df01

build_peer() { # FOLDER
    local log=$prefix.log
    command -v npm >/dev/null || fail "hnswlib: no npm on PATH to fetch it with"
    say "fetching hnswlib's headers ($package)"
    if ! (cd "$1" && npm pack --silent --ignore-scripts "$package") >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        fail "hnswlib: npm could not fetch $package; see $log"
    fi
    check_sha256 "$1/hnswlib-node-$version.tgz" "$tarball_sha256"
    mkdir "$1/include"
    tar -xzf "$1/hnswlib-node-$version.tgz" -C "$1/include" --strip-components=2 package/src/hnswlib
    rm "$1/hnswlib-node-$version.tgz"
    printf '{"name": "hnswlib", "version": "headers of hnswlib-node %s", "compiler": "", "flags": "", "simd": ""}\n' \
        "$version" >"$1/build.json"
}

prefix=$peers/hnswlib-$version-$(printf '%s' "$tarball_sha256" | short_hash)
case ${1:-} in
    "")
        publish "$prefix"
        printf '%s\n' "$prefix"
        ;;
    --describe) cat "$prefix/build.json" ;;
    *) fail "peer-hnswlib.sh: unknown option $1" ;;
esac
