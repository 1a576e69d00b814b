#!/bin/bash
# test_documents.sh - checks the statements of the documents: runs documents.py in a
# copy of the project whose ./harness starts the program built here. Before that, checks
# that documents.py detects errors. With --record, documents.py writes outputs that differ
# into the documents instead (make golden-record T=cli/test_documents).
# shellcheck disable=SC2016  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
git ls-files -z | xargs -0 tar -cf - | tar -C "$work" -xf - || exit 1
cat >"$work/harness" <<SH
#!/bin/sh
exec "$PWD/build/driftline" "\$@"
SH
export DRIFTLINE_ROOT=$work DRIFTLINE_OFFLINE=1 NO_COLOR=1
documents=$PWD/tests/cli/documents.py
if [ "${1:-}" = --record ]; then
    python3 "$documents" --record "$work" | grep -v "^ok"
    exit
fi

mkdir "$work/wrong"
cp "$work/harness" "$work/Makefile" "$work/wrong"
cp -r "$work/configs" "$work/wrong"
mkdir "$work/wrong/tests"
cat >"$work/wrong/README.md" <<'MD'
# Wrong
[nothing](nowhere.md) [no heading](#right) `configs/nothing.lua` `unit/core/test_nothing` `make nothing` `./harness lst` [here](#wrong)
```console
$ ./harness check configs/examples/delete.lua
delete: Ways to remove
...
$ ./harness check configs/examples/insert.lua
...
3  insert     given classes    1000  5500  with attributes
...
$ ./harness check configs/examples/search.lua
...
data       32 x f32, metric l2
...
memory     9.99 GiB of vectors at the most live rows (4000), 1 B of truth
...
```
```text
$ ./harness list methods
```
`./harness list --kind methods`
```sh
./harness describe nothing
```
```lua
experiment { name = "wrong" }
```
MD
(cd "$work/wrong" && python3 "$documents" "$work/wrong") >"$work/out" 2>&1
for wrong in "its links lead" "the files that it names" "make nothing: is there" "./harness lst: is there" \
    "./harness describe nothing" "./harness check block.lua" "./harness check configs/examples/delete.lua: prints" \
    "./harness check configs/examples/insert.lua: prints" "its sessions are" "./harness list --kind methods: is there"; do
    check "a document that is wrong: $wrong" 'grep -qF "not ok - README.md: $wrong" "$work/out"'
done
check "and nothing else is" '[ "$(grep -c "^not ok" "$work/out")" = 10 ] && grep -q "^#   #right" "$work/out" && grep -q "^#   tests/unit/core/test_nothing" "$work/out" && ! grep -q "#   #wrong" "$work/out"'
(cd "$work/wrong" && python3 "$documents" --record "$work/wrong") >"$work/out" 2>&1
check "--record writes what is printed, abridged as before where numbers alone differ" \
    'tr "\n" "~" <"$work/wrong/README.md" | grep -q "insert.lua~\.\.\.~3  insert     given classes    1000  6000  with attributes~\.\.\.~"'
check "and whole where more does" 'grep -A4 "delete.lua" "$work/wrong/README.md" | grep -q "^0  insert  *load"'
check "and leaves what is right" 'grep -q "^memory     9.99 GiB" "$work/wrong/README.md"'

python3 "$documents" "$work" || failed=1
exit $failed
