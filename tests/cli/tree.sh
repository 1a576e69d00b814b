# tree.sh - a built copy of the project, sourced after checks.sh: for what calls make, or writes to the tree.
# shellcheck shell=bash disable=SC2154  # $work is that of checks.sh

# built_tree FOLDER: the sources as they are, and what is built of the program, the plugins and the contract tests, with their
# times, so that make compiles only what changes there. Its git is that of this tree, which git then does not write to.
# Logs are not taken: other tests write theirs meanwhile, as the test in the copy will.
built_tree() {
    local folder=$1 here=$PWD
    mkdir -p "$folder/build"
    git ls-files -zco --exclude-standard | while IFS= read -rd '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        xargs -0 cp -a --parents -t "$folder" || exit 1
    cd build || exit 1
    find . \( -path ./release/obj/tests/unit -o -path ./release/obj/tests/recall -o -path ./release/tests/run -o -path './release/tests/apart/[!c]*' -o -name '*.log*' \) \
        -prune -o \( -path './release/*' -o -path './*.*' -o -path './cuda/*' -o -path ./driftline -o -path ./external-client \) \
        \( -type f -o -type l \) -print0 | xargs -0 cp -a --parents -t "$folder/build" || exit 1
    cd "$here" || exit 1
    GIT_DIR=$(git rev-parse --absolute-git-dir) || exit 1
    export GIT_DIR GIT_WORK_TREE=$folder GIT_OPTIONAL_LOCKS=0
}
