# recipes.sh - shared by the tests of recipes that run networks of npm; checks.sh comes first.
# shellcheck shell=bash disable=SC2016,SC2034,SC2154  # sourced

begin_recipe() { # RECIPE PACKAGE COMMAND...: goes to a folder with the recipes, and the networks of the cache in `packages`
    local kept=${DRIFTLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/driftline}/downloads/packages command
    for command in "${@:3}"; do
        command -v "$command" >/dev/null || { echo "skipped: $command is not installed (make deps-$1)"; exit 0; }
    done
    own_program
    export DRIFTLINE_ROOT=$work/root
    recipe=root/datasets/recipes/$1
    mkdir -p root/datasets packages
    cp -r "$root/datasets/recipes" root/datasets/
    [ ! -e "$kept/$2" ] || cp -r "$kept/$2" packages/
}

make_one() { # runs the recipe into the folder `one`, and ends the test where npm's registry is not reached
    timeout 500 "$recipe" one packages >out 2>err
    status=$?
    if grep -q "npm cannot download" err; then
        echo "skipped: $(head -n 1 err)"
        exit 0
    fi
}

make_two() { # BYTES: killed with so many on the disk, the recipe goes on from there and makes the same bytes
    setsid "$recipe" two packages >out 2>err &
    local making=$!
    until [ "$(stat -c %s two/vectors 2>/dev/null || echo 0)" -gt "$1" ] || ! kill -0 $making 2>/dev/null; do sleep .05; done
    kill -KILL -- -$making
    wait $making 2>/dev/null
    check "a killed recipe leaves no file that is not whole" '[ -z "$(find two -name "*.fbin*" -o -name "*.i64*")" ]'
    timeout 500 "$recipe" two packages >out 2>err
    check "it goes on and makes the same bytes" '[ $? = 0 ] && diff -r -x "*.lock" one two >err'
}
