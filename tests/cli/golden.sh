#!/bin/bash
# golden.sh - runs a golden test: commands whose output must equal a recorded transcript.
#
#   golden.sh [--record] FOLDER
#
# FOLDER/cmd.sh runs in an empty folder. Its `run ARGUMENT...` runs the program and appends to the
# transcript: the command, standard output, each line of standard error after "2> ", and the exit
# status unless it is 0. The transcript must equal FOLDER/expect; --record writes that file instead.
# In the transcript, ROOT stands for the repository's folder.
# Exit status: 0 if the transcript equals the recorded one, else 1.
set -u

record=
[ "${1:-}" != --record ] || { record=1; shift; }
case $1 in /*) folder=$1 ;; *) folder=$PWD/$1 ;; esac
export DRIFTLINE_ROOT=${DRIFTLINE_ROOT:-$PWD} NO_COLOR=1 LC_ALL=C
unset DRIFTLINE_DATA DRIFTLINE_KERNELS DRIFTLINE_OFFLINE
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# Its own copy: others may be linking the program meanwhile.
cp -L build/driftline "$work/driftline"
export DRIFTLINE_CACHE=$work/cache
mkdir "$work/here"
cd "$work/here" || exit 1

run() { # ARGUMENT...: FILTER, if set, is a command that the output goes through first
    local status
    "$work/driftline" "$@" >"$work/out" 2>"$work/err"
    status=$?
    echo "\$ driftline $*${FILTER:+ | $FILTER}"
    eval "${FILTER:-cat}" <"$work/out"
    sed 's/^/2> /' "$work/err"
    [ $status = 0 ] || echo "exit $status"
    echo
}

# shellcheck disable=SC1091  # each test has its own
. "$folder/cmd.sh" 2>&1 | sed "s|$work|WORK|g; s|$DRIFTLINE_ROOT|ROOT|g" >"$work/transcript"
if [ "$record" ]; then
    cp "$work/transcript" "$folder/expect"
    exit
fi
if diff -u --label expected --label printed "$folder/expect" "$work/transcript"; then
    echo "ok - as recorded"
else
    echo "not ok - not as recorded; if it is meant to be so: make golden-record T=${folder#"$DRIFTLINE_ROOT"/tests/}"
    exit 1
fi
