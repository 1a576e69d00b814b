#!/bin/bash
# test_completion.sh - completion scripts of the shells: bash's offers commands and the options of each, all are
# scripts that their shells can read.
# shellcheck disable=SC2016,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
own_program

offered() { # WORD...: what bash offers for the last word
    bash -c '. ./bash.out; COMP_WORDS=(harness "$@") COMP_CWORD=$#; _driftline; echo "${COMPREPLY[*]}"' _ "$@"
}

for shell in bash zsh fish; do
    run completion "$shell"
    cp out "$shell.out"
    check "$shell: a script" '[ $status = 0 ] && [ -s out ] && grep -q "advise" out && grep -q "regression" out'
    if command -v "$shell" >/dev/null; then
        check "$shell can read it" '"$shell" -n "$shell.out" >out 2>err'
    else
        echo "ok - $shell can read it # SKIP it is not installed"
    fi
done
check "bash: a command" '[ "$(offered rep)" = "reproduce report" ]'
check "bash: an option of the command" '[ "$(offered compare --reg)" = --regression ]'
check "bash: not an option of another command" '[ -z "$(offered compare --resu)" ]'
check "bash: no command as a later word" '[ -z "$(offered compare rep)" ]'
run completion tcsh
check "another shell is refused" '[ $status = 2 ] && grep -q "expected bash, zsh or fish" err'

exit $failed
