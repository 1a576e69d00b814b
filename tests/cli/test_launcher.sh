#!/bin/bash
# test_launcher.sh - ./harness over a tiny project: arguments, folder, status, staleness, a failing build.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
root="$work/a project"
mkdir -p "$root/src" "$root/algorithms" "$root/kernels" "$work/elsewhere"
cp harness "$root/"
# The program: tells how it was called. Each build leaves a line in `builds`.
cat >"$root/src/program" <<'SH'
#!/bin/sh
printf '<%s>' "$@"
printf ' in %s of %s\n' "$PWD" "$DRIFTLINE_ROOT"
exit 7
SH
cat >"$root/Makefile" <<'MAKE'
all: build/driftline
build/driftline: src/program
	@echo once >>builds
	@echo "driftline: a line for the user" >&2
	@echo "  CC    a line for the log"
	@sh -n src/program
	@cp src/program $@ && chmod +x $@
MAKE

builds() { wc -l <"$root/builds"; }
cd "$work/elsewhere" || exit 1
run() {
    "$@" >out 2>err
    status=$?
}

run "$root/harness" "two words" '' '$HOME *'
check "builds first, then hands on the arguments as they are" 'grep -qxF "<two words><><\$HOME *> in $PWD of $root" out'
check "hands back the program's status" '[ $status = 7 ]'
check "says that it builds, and only what is for the user" \
    'grep -q "driftline: building" err && grep -q "a line for the user" err && ! grep -q "for the log" err'

run "$root/harness" again
check "nothing changed: no make, not a word" '[ "$(builds)" = 1 ] && [ ! -s err ] && grep -q "<again>" out'

start=$(date +%s%N)
for _ in 1 2 3 4 5; do run "$root/harness"; done
each_ms=$((($(date +%s%N) - start) / 5000000))
check "nothing changed: starts within 50 ms (took $each_ms)" '[ $each_ms -lt 50 ]'

ln -s "$root/harness" link
run ./link
check "works through a symbolic link" 'grep -qF " of $root" out'

sleep 0.02
echo '# edited' >>"$root/src/program"
run "$root/harness"
check "an edited source is built" '[ "$(builds)" = 2 ]'

sleep 0.02
touch "$root/kernels/new.c"
run "$root/harness"
check "an added file makes it look again" 'grep -q "driftline: building" err'
run "$root/harness"
check "and only once" '[ ! -s err ]'

DRIFTLINE_PORTABLE=1 run "$root/harness"
check "another setting makes it look again" 'grep -q "driftline: building" err'
run "$root/harness"

echo 'if' >>"$root/src/program"
run "$root/harness"
check "a failed build runs nothing, says what and where" \
    '[ $status = 2 ] && [ ! -s out ] && grep -qi "error" err && grep -qF "$root/build/build.log" err'
run "$root/harness"
check "and is not forgotten by the next call" '[ $status = 2 ]'
sed -i '$d' "$root/src/program"
run "$root/harness"
check "mended" '[ $status = 7 ]'

exit $failed
