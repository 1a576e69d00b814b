# checks.sh - what the scripts of tests/cli share: a folder of their own, one check a line, TAP's words.
# shellcheck shell=bash disable=SC2034  # sourced; its variables are used in conditions given to check

work=$(mktemp -d)
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
