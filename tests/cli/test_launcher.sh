#!/bin/bash
# test_launcher.sh - ./harness over a tiny project: arguments, folder, status, staleness, a failing build.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
for name in $(compgen -e); do
    case $name in OPENBLAS_* | OMP_* | GOTO_* | MKL_* | KMP_* | GOMP_* | BLIS_* | *MALLOC_* | GLIBC_TUNABLES) unset "$name" ;; esac
done
unset DRIFTLINE_KEEP_ENV DRIFTLINE_NEUTRALISED
root="$work/a project"
mkdir -p "$root/src" "$root/algorithms" "$root/kernels" "$work/elsewhere"
cp harness "$root/"
# The program: tells how it was called. Each build leaves a line in `builds`.
cat >"$root/src/program" <<'SH'
#!/bin/sh
printf '<%s>' "$@"
printf ' in %s of %s\n' "$PWD" "$DRIFTLINE_ROOT"
env -u DRIFTLINE_NEUTRALISED >environment
printf '%s' "${DRIFTLINE_NEUTRALISED-none}" >removed
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

# Each program that the launcher starts is counted, for that is what its start takes.
mkdir "$work/bin"
for name in awk basename cat cksum cmp cut date dirname env find flock git grep head ls make md5sum mkdir mv nproc printf readlink rm sed \
    sha256sum sort stat tail tee test touch tr uname wc xargs; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/started"\nPATH=%q exec %s "$@"\n' $name "$work" "$PATH" $name >"$work/bin/$name"
done
chmod +x "$work"/bin/*
PATH=$work/bin:$PATH run "$root/harness"
check "nothing changed: no more than ten programs, one find of the sources among them" \
    '[ $status = 7 ] && [ "$(grep -vc "^env -u\|^cat$" "$work/started")" -le 10 ] && [ "$(grep -c "^find " "$work/started")" = 1 ]'

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

DRIFTLINE_CACHE=$work/cache HOME=$work run "$root/harness"
check "another cache does not" '[ $status = 7 ] && [ ! -s err ]'
(cd "$root" && git init -q && git add Makefile && git -c user.name=a -c user.email=a@b commit -qm one)
run "$root/harness"
check "a commit does" 'grep -q "driftline: building" err'
GIT_TEST_ASSUME_DIFFERENT_OWNER=1 run "$root/harness"
check "also one of another user's clone, which is built by its owner" '[ $status = 7 ] && [ ! -s err ]'
mv "$root/build/.lock" "$root/build/kept" && mkdir "$root/build/.lock"
DRIFTLINE_PORTABLE=1 run "$root/harness"
check "where it cannot be built that is said, and what to do" '[ $status = 2 ] && [ "$(wc -l <err)" = 1 ] && grep -q "cannot write .*/build, .* a clone of your own" err'
rmdir "$root/build/.lock"

echo 'if' >>"$root/src/program"
run "$root/harness"
check "a failed build runs nothing, says what and where" \
    '[ $status = 2 ] && [ ! -s out ] && grep -qi "error" err && grep -qF "$root/build/build.log" err'
run "$root/harness"
check "and is not forgotten by the next call" '[ $status = 2 ]'
sed -i '$d' "$root/src/program"
run "$root/harness"
check "mended" '[ $status = 7 ]'
has() { grep -qxF -- "$1" environment; }
# ---- what a shell has preset for libraries
OPENBLAS_CORETYPE=Nehalem OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=1 MKL_NUM_THREADS='1  2' GLIBC_TUNABLES=glibc.malloc.check=3 \
    LD_PRELOAD='' OMP_X="a
LD_AUDIT=b" NOMP_X=kept run "$root/harness"
check "what would throttle or change a library is taken out" \
    '! grep -qE "^(OPENBLAS_CORETYPE=Nehalem|MALLOC_|LD_PRELOAD)" environment && has NOMP_X=kept && grep -qx "GLIBC_TUNABLES=.*hugetlb=1.*" environment'
check "what it was is handed on, and not a word said: a run does that" \
    '[ ! -s err ] && grep -qx "OPENBLAS_CORETYPE=Nehalem" removed && grep -qx "MKL_NUM_THREADS=1  2" removed && grep -qx "GLIBC_TUNABLES=glibc.malloc.check=3" removed'
OPENBLAS_CORETYPE=Nehalem GLIBC_TUNABLES=glibc.malloc.check=3 DRIFTLINE_KEEP_ENV=1 run "$root/harness"
check "unless it is to be kept" \
    '[ ! -s err ] && has OPENBLAS_CORETYPE=Nehalem && has GLIBC_TUNABLES=glibc.malloc.check=3 && has DRIFTLINE_KEEP_ENV=1 && [ "$(cat removed)" = none ]'
DRIFTLINE_NEUTRALISED=x run "$root/harness"
core=$(sed -n 's/^OPENBLAS_CORETYPE=//p' environment)
expected=''
! grep -qw avx2 /proc/cpuinfo || expected=Haswell
! grep -qw avx512vl /proc/cpuinfo || expected=SkylakeX
check "OpenBLAS gets the kernels of the widest instructions" '[ "$core" = "$expected" ]'
GLIBC_TUNABLES=$(sed -n 's/^GLIBC_TUNABLES=//p' environment) OPENBLAS_CORETYPE=$core run "$root/harness"
check "nothing preset, or by a launcher: nothing is handed on" '[ ! -s err ] && [ "$(cat removed)" = none ]'

exit $failed
