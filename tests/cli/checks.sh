# checks.sh - shared by the scripts of tests/cli: a scratch folder, and checks that print TAP lines.
# shellcheck shell=bash disable=SC2016,SC2034  # sourced; variables are used in conditions, which check evaluates

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

check() { # NAME CONDITION: evaluated here; on failure the last command's output is shown
    if eval "$2"; then
        echo "ok - $1"
    else
        echo "not ok - $1: not so: $2"
        sed 's/^/#   /' out err 2>/dev/null | head -n 30
        failed=1
    fi
}

own_program() { # $program: a copy of the program, as others may be linking it; then goes to the scratch folder
    root=$PWD
    program=$work/driftline
    cp -L build/driftline "$program"
    export DRIFTLINE_ROOT=$root DRIFTLINE_CACHE=$work/cache NO_COLOR=1
    unset DRIFTLINE_DATA DRIFTLINE_KERNELS
    cd "$work" || exit 1
}

run() { # ARGUMENT...: output in `out` and `err`
    "$program" "$@" >out 2>err
    status=$?
}

keeps_to_schema() { # FOLDER: of a result
    python3 - "$root/results/schema.json" "$1/result.json" >out 2>err <<'PY'
import json, sys, jsonschema
jsonschema.validate(json.load(open(sys.argv[2])), json.load(open(sys.argv[1])))
PY
    status=$?
    check "$1 keeps to the schema" '[ $status = 0 ]'
}
