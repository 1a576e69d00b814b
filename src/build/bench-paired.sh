#!/bin/bash
# bench-paired.sh - compares the speed of the working tree with that of another commit, in rounds that alternate.
#
#   bench-paired.sh COMMIT ROUNDS CONFIG... [-- OPTION...]
#
# Builds COMMIT in build/paired/tree. Each round adds one repeat there and one here to a result of each CONFIG, with the OPTIONs of
# `./harness run`; which comes first alternates. Then `./harness compare` judges: a difference of at most 2 % is neither better nor
# worse. Exit status: 0, 1 where something is worse, 2 where something does not run.
set -u

cd "$(dirname "$0")/../.." || exit 2
usage() { sed -n 's/^#   //p' "$0" >&2; exit 2; }
[ $# -ge 3 ] || usage
commit=$1 rounds=$2
shift 2
configs=() options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do configs+=("$1"); shift; done
[ $# -gt 0 ] && shift && options=("$@")
if ! [ "$rounds" -ge 2 ] 2>/dev/null || [ ${#configs[@]} = 0 ]; then usage; fi

out=$PWD/build/paired
mkdir -p "$out" || exit 2
git worktree prune
[ -d "$out/tree" ] || git worktree add --detach --force "$out/tree" "$commit" || exit 2
git -C "$out/tree" checkout --quiet --detach "$commit" || exit 2
unset MAKEFLAGS MAKELEVEL # of the make that started this: its jobs are taken
make -C "$out/tree" || exit 2
make || exit 2

one() { # SIDE TREE ROUND CONFIG: one repeat more
    (cd "$2" && ./harness run --quiet --no-plots --resume --repeats "$3" --out "$out/$1" ${options[@]+"${options[@]}"} "$4") \
        >"$out/run.log" 2>&1 || { cat "$out/run.log" >&2; exit 2; }
}

worse=0
for config in "${configs[@]}"; do
    rm -rf "$out/base" "$out/here"
    for round in $(seq "$rounds"); do
        echo "$config: round $round of $rounds" >&2
        sides=(base here)
        [ $((round % 2)) = 1 ] || sides=(here base)
        for side in "${sides[@]}"; do
            tree=$PWD
            [ "$side" = here ] || tree=$out/tree
            one "$side" "$tree" "$round" "$config"
        done
    done
    echo "== $config, $rounds rounds: $commit, then the working tree"
    ./harness compare --tolerance 2 --fail-on-regression "$out"/base/* "$out"/here/* || worse=1
done
exit "$worse"
