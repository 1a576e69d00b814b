#!/bin/bash
# test_documents.sh - checks the statements of the documents: runs documents.py in a
# copy of the project whose ./harness starts the program built here. Before that, checks
# that documents.py detects errors.
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

mkdir "$work/wrong"
cp "$work/harness" "$work/Makefile" "$work/wrong"
cp -r "$work/configs" "$work/wrong"
cat >"$work/wrong/README.md" <<'MD'
# Wrong
[nothing](nowhere.md) [no heading](#right) `configs/nothing.lua` `make nothing` `./harness lst` [here](#wrong)
```console
$ ./harness check configs/examples/delete.lua
delete: Ways to remove
...
9  search                 50  2497  k 10
...
```
```sh
./harness describe nothing
```
```lua
experiment { name = "wrong" }
```
MD
(cd "$work/wrong" && python3 "$documents" "$work/wrong") >"$work/out" 2>&1
for wrong in "its links lead" "the files that it names" "make nothing: is there" "./harness lst: is there" \
    "./harness describe nothing" "./harness check block.lua" "./harness check configs/examples/delete.lua: prints"; do
    check "a document that is wrong: $wrong" 'grep -qF "not ok - README.md: $wrong" "$work/out"'
done
check "and nothing else is" '[ "$(grep -c "^not ok" "$work/out")" = 7 ] && grep -q "^#   #right" "$work/out" && ! grep -q "#   #wrong" "$work/out"'

python3 "$documents" "$work" || failed=1
exit $failed
