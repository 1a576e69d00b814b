#!/bin/sh
# configure.sh - writes build/config.mk: where the libraries are, which optional parts this machine has.
#
#   configure.sh [GROUP...]    groups of deps.sh that must be there first
#
# Runs at every make, so it ends at once while nothing it depends on has changed. A missing optional part
# leaves out a method or a format and is named once, when the choice is made.
# From the environment: CC CXX DRIFTLINE_PORTABLE, DRIFTLINE_WITHOUT (a list of: faiss hnswlib usearch hdf5 rocksdb liburing mpi cuda),
# FAISS_PREFIX (a native FAISS with its C API).
set -u

CC=${CC:-gcc}
CXX=${CXX:-g++}
here=$(dirname "$0")
out=build/config.mk

say() { printf 'driftline: %s\n' "$*" >&2; }

mkdir -p build
"$here/deps.sh" "${@:-build}"
case $? in
    0 | 3) ;;
    *) say "some packages that the build cannot do without are missing (above)"; exit 1 ;;
esac

# Everything the answers below depend on.
key=$(
    printf '%s\n' "$CC" "$CXX" "${DRIFTLINE_PORTABLE:-}" "${DRIFTLINE_WITHOUT:-}" "${FAISS_PREFIX:-}" \
        "${NVCC:-}" "$PATH"
    "$CC" --version
    grep -m 1 '^flags' /proc/cpuinfo
    stat -c %Y /var/lib/dpkg/status "$here"/configure.sh "$here"/baseline-*.sh 2>/dev/null
)
key=$(printf '%s' "$key" | cksum)
# Where baselines are kept. Those of the last choice stay, wherever the cache is now; what it lacked is tried again in another place.
place=${DRIFTLINE_CACHE:-${XDG_CACHE_HOME:-${HOME:-}}}
# Every file of a baseline as it was when the choice was made: else what changed would be linked, or loaded.
sums=build/baselines.sha256
baselines_intact() {
    [ -e "$sums" ] && { [ ! -s "$sums" ] || sha256sum --check --quiet --strict "$sums" >/dev/null 2>&1; }
}
if [ -e "$out" ] && [ "$(sed -n 's/^# key //p' "$out")" = "$key" ] && baselines_intact &&
    { [ -z "$place" ] || [ "$(sed -n 's/^# place //p' "$out")" = "$place" ] || ! grep -q 'make baselines tries again' "$out"; }; then
    exit 0
fi

without() {
    case " ${DRIFTLINE_WITHOUT:-} " in *" $1 "*) return 0 ;; esac
    return 1
}
missing=
leave_out() { # NAME WHAT-IT-COSTS WHAT-BRINGS-IT
    missing="$missing X(\"$1\", \"$3\")"
    say "building without $1: $2; $3"
}

needed="lua5.4 openblas jansson zlib libxxhash libcrypto yaml-0.1"
# shellcheck disable=SC2086  # a list of names
if ! pkg-config --exists --print-errors $needed; then
    say "pkg-config does not know one of: $needed"
    exit 1
fi
# shellcheck disable=SC2086
cflags=$(pkg-config --cflags $needed | sed 's/-I/-isystem /g')
# shellcheck disable=SC2086
libs=$(pkg-config --libs $needed)
defines=

have_cxx=
command -v "$CXX" >/dev/null && have_cxx=1

# As shared libraries these two bring thirty others, which took a third of each start of the program. Prints how the
# release links one: as an archive, if that can be.
archive_or_shared() { # PACKAGE FUNCTION WHAT-THE-ARCHIVE-NEEDS
    shared=$(pkg-config --libs "$1")
    archive="$(printf '%s' "$shared" | sed "s/-l$1\>/-l:lib$1.a/") -Wl,--exclude-libs,lib$1.a $3"
    # shellcheck disable=SC2086  # flags
    if printf 'extern "C" int %s(); int main() { return %s(); }\n' "$2" "$2" |
        "$CXX" -x c++ - -o build/.archive $archive -lpthread -ldl -lm 2>/dev/null; then
        printf '%s' "$archive"
    else
        printf '%s' "$shared"
    fi
    rm -f build/.archive
}

# What the release links where other modes link the shared library, so that sanitizers know whose code runs.
release_libs='' shared_libs=''
if without hdf5; then
    leave_out hdf5 "no HDF5 files" "DRIFTLINE_WITHOUT names it"
elif pkg-config --exists hdf5; then
    defines="$defines -DHAVE_HDF5"
    cflags="$cflags $(pkg-config --cflags hdf5 | sed 's/-I/-isystem /g')"
    shared_libs="$shared_libs $(pkg-config --libs hdf5)"
    release_libs="$release_libs $(archive_or_shared hdf5 H5open "-lsz -lz")"
else
    leave_out hdf5 "no HDF5 files" "apt-get install libhdf5-dev brings it"
fi

if without liburing; then
    leave_out liburing "cold reads by preads" "DRIFTLINE_WITHOUT names it"
elif pkg-config --exists liburing; then
    defines="$defines -DHAVE_LIBURING"
    cflags="$cflags $(pkg-config --cflags liburing | sed 's/-I/-isystem /g')"
    libs="$libs $(pkg-config --libs liburing)"
else
    leave_out liburing "cold reads by preads" "apt-get install liburing-dev brings it"
fi

have_rocksdb=
if without rocksdb; then
    leave_out rocksdb "no postings in RocksDB" "DRIFTLINE_WITHOUT names it"
elif pkg-config --exists rocksdb; then
    have_rocksdb=1
    defines="$defines -DHAVE_ROCKSDB"
    cflags="$cflags $(pkg-config --cflags rocksdb | sed 's/-I/-isystem /g')"
    shared_libs="$shared_libs $(pkg-config --libs rocksdb)"
    release_libs="$release_libs $(archive_or_shared rocksdb rocksdb_options_create "-lsnappy -lbz2 -llz4 -lzstd -lgflags -lz")"
else
    leave_out rocksdb "no postings in RocksDB" "apt-get install librocksdb-dev brings it"
fi

mpi_cflags=
mpi_libs=
if without mpi; then
    leave_out mpi "no run --mpi" "DRIFTLINE_WITHOUT names it"
elif pkg-config --exists ompi-c; then
    mpi_cflags=$(pkg-config --cflags ompi-c | sed 's/-I/-isystem /g')
    mpi_libs=$(pkg-config --libs ompi-c)
else
    leave_out mpi "no run --mpi" "apt-get install libopenmpi-dev brings it"
fi

nvcc=
if without cuda; then
    leave_out cuda "no GPU kernels" "DRIFTLINE_WITHOUT names it"
else
    for candidate in "${NVCC:-nvcc}" /usr/local/cuda/bin/nvcc; do
        nvcc=$(command -v "$candidate") && break
    done
    [ -n "$nvcc" ] || leave_out cuda "no GPU kernels" "nvcc of the CUDA Toolkit brings it"
fi

# {"name": "N", "version": ...} -> X("N", ...), in build.json's order: name version compiler flags simd
baseline_info() {
    printf ' X(%s)' "$(sed 's/"[a-z]*": //g; s/[{}]//g')"
}
baselines_info=
: >"$sums"
use_baseline() { # NAME WHAT-IT-COSTS SCRIPT
    if without "$1"; then
        leave_out "$1" "$2" "DRIFTLINE_WITHOUT names it"
        return 1
    elif [ -z "$have_cxx" ]; then
        leave_out "$1" "$2" "apt-get install g++ brings what compiles it"
        return 1
    elif ! prefix=$("$here/$3"); then
        leave_out "$1" "$2" "make baselines tries again (the cause is above)"
        return 1
    fi
    cflags="$cflags -isystem $prefix/include"
    "$here/$3" --sums >>"$sums"
    baselines_info="$baselines_info$("$here/$3" --describe | baseline_info)"
}
have_faiss=
have_hnswlib=
have_usearch=
if use_baseline faiss "no faiss-* methods" baseline-faiss.sh; then
    have_faiss=1
    defines="$defines -DHAVE_FAISS"
    libs="$libs -L$prefix/lib -Wl,-rpath,$prefix/lib -lfaiss_c -lfaiss -lgomp"
    case $("$here/baseline-faiss.sh" --describe) in *'"simd": "none"'*) defines="$defines -DFAISS_NO_SIMD" ;; esac
fi
if use_baseline hnswlib "no hnswlib method" baseline-hnswlib.sh; then
    have_hnswlib=1
    defines="$defines -DHAVE_HNSWLIB"
fi
if use_baseline usearch "no usearch method" baseline-usearch.sh; then
    have_usearch=1
    # Its own SIMD kernels are another package, its OpenMP and half-precision libraries are not needed.
    defines="$defines -DHAVE_USEARCH -DUSEARCH_USE_NUMKONG=0 -DUSEARCH_USE_OPENMP=0 -DUSEARCH_USE_FP16LIB=0"
fi

# HASH  PATH -> X("PATH", "HASH"), of the libraries that the program loads
libraries=$(sed -n 's/^\([0-9a-f]*\)  \(.*\.so\)$/ X("\2", "\1")/p' "$sums" | tr -d '\n')

{
    printf '# Written by src/build/configure.sh; do not edit.\n'
    printf '# key %s\n' "$key"
    printf '# place %s\n' "$place"
    printf 'DEP_CFLAGS := %s %s\n' "$defines" "$cflags"
    printf 'DEP_LIBS := %s\n' "$libs"
    printf 'RELEASE_LIBS := %s\n' "$release_libs"
    printf 'SHARED_LIBS := %s\n' "$shared_libs"
    printf 'HAVE_CXX := %s\n' "$have_cxx"
    printf 'HAVE_FAISS := %s\n' "$have_faiss"
    printf 'HAVE_HNSWLIB := %s\n' "$have_hnswlib"
    printf 'HAVE_USEARCH := %s\n' "$have_usearch"
    printf 'HAVE_ROCKSDB := %s\n' "$have_rocksdb"
    printf 'BASELINE_LIBRARIES := %s\n' "$libraries"
    printf 'BASELINES_INFO := %s\n' "$baselines_info"
    printf 'NVCC := %s\n' "$nvcc"
    printf 'MPI_CFLAGS := %s\n' "$mpi_cflags"
    printf 'MPI_LIBS := %s\n' "$mpi_libs"
    printf 'MISSING_PARTS := %s\n' "$missing"
} >"$out.$$" && mv "$out.$$" "$out"
