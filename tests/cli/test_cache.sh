#!/bin/bash
# test_cache.sh - only its owner can write to the cache, and cached files are verified
# before they are used.
# shellcheck disable=SC2016,SC2034,SC2317  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
libraries=$(ldd build/driftline | sed -n 's/.* => \(.*libfaiss[^ ]*\) .*/\1/p')
own_program
export DRIFTLINE_ROOT=$work/root
says() { grep -qF -- "$1" out err; }

# A catalog whose one data set is made by a program, as curl, tar and the like would.
mkdir -p root/datasets/recipes
cat >root/datasets/recipes/tiny <<'SH'
#!/bin/sh
mkdir "$1/beside"
printf '\005\000\000\000\003\000\000\000abcdefghijklmno' >"$1/tiny.u8bin"
SH
chmod +x root/datasets/recipes/tiny
sum=$(printf '\005\000\000\000\003\000\000\000abcdefghijklmno' | sha256sum | cut -d' ' -f1)
cat >root/datasets/catalog.lua <<LUA
return { tiny = { about = "five rows", metric = "l2", element = "u8", rows = 5, dim = 3, licence = "none",
  files = { { part = "base", file = "tiny.u8bin", sha256 = "$sum", sources = { { recipe = "tiny" } } } } } }
LUA
cat >tiny.lua <<'LUA'
local s = dataset "tiny"
experiment {
  name = "tiny", k = 1,
  workload = function(w) w:insert { s }; w:search { s:rows(1, 2), tag = "q" } end,
  methods = { method { "flat" } },
}
LUA

(umask 0 && "$program" run --no-plots --out r tiny.lua) >out 2>err
status=$?
check "with umask 0 nobody else can write the cache" \
    '[ $status = 0 ] && [ -e cache/datasets/tiny/base.npy ] && [ -d cache/truth ] && [ -d cache/downloads/tiny/beside ] &&
     [ "$(find cache -perm /022 | wc -l)" = 0 ] && [ "$(stat -c %a cache)" = 700 ]'
check "nor the results" '[ -e r/tiny/result.json ] && [ "$(find r -perm /022 | wc -l)" = 0 ]'
(umask 077 && "$program" run --no-plots --out own tiny.lua) >out 2>err
check "results are as private as the umask says" '[ "$(find own -perm /077 | wc -l)" = 0 ]'

printf 'X' | dd of=cache/datasets/tiny/base.npy bs=1 seek=130 conv=notrunc 2>dd.log
run run --no-plots --out r tiny.lua
check "a changed byte in converted data is an error that names the file" \
    '[ $status = 2 ] && says "tiny.lua:1: " && says "cache/datasets/tiny/base.npy" && says "remove the file"'
rm cache/datasets/tiny/base.npy
run run --no-plots --out r tiny.lua
check "and what it says to do mends it" '[ $status = 0 ]'

env -u DRIFTLINE_CACHE -u HOME -u XDG_CACHE_HOME "$program" run --no-plots --out r tiny.lua >out 2>err
status=$?
check "without HOME there is no cache, and none in /tmp" \
    '[ $status = 2 ] && says "neither HOME nor XDG_CACHE_HOME is set" && [ ! -e /tmp/.cache/driftline ]'
HOME=$work/home env -u DRIFTLINE_CACHE -u XDG_CACHE_HOME "$program" run --no-plots --out r tiny.lua >out 2>err
status=$?
check "with HOME it is made there, for its owner" '[ $status = 0 ] && [ "$(stat -c %a home/.cache/driftline)" = 700 ]'

refused() { # NAME WORDS
    run run --no-plots --out r tiny.lua
    check "$1" '[ $status = 2 ] && says "'"$2"'"'
}
chmod o+w cache
refused "a cache that others can write is refused" "others may write the cache (mode 702)"
chmod 755 cache
run run --no-plots --out r tiny.lua
check "one that others can read is not" '[ $status = 0 ]'
mv cache elsewhere
ln -s elsewhere cache
refused "a link instead of the cache is refused" "not a link"
rm cache
: >cache
refused "a file instead of the cache is refused" "cache"
rm cache
mv elsewhere cache
if [ "$(id -u)" = 0 ]; then
    chown 12345 cache
    refused "a cache of somebody else is refused" "belongs to user 12345, not to you"
    chown 0 cache
fi
mkdir -m 777 open
DRIFTLINE_CACHE=$work/open/cache
refused "a cache that others could replace is refused" "everybody may write the folder above the cache"
chmod +t open
run run --no-plots --out r tiny.lua
check "where they could not it is not" '[ $status = 0 ]'
DRIFTLINE_CACHE=$work/cache

# A catalog that would trust what nobody checks is refused whole, before anything is fetched.
unsafe() { # NAME FIELDS WORDS
    mkdir -p unsafe/datasets
    cat >unsafe/datasets/catalog.lua <<LUA
return { odd = { about = "x", metric = "l2", element = "u8", licence = "none", files = { { part = "base", file = "x.u8bin", $2 } } } }
LUA
    DRIFTLINE_ROOT=$work/unsafe run list datasets
    check "$1" '[ $status = 2 ] && says "catalog.lua: data set \"odd\": part \"base\": " && says "'"$3"'"'
}
unsafe "a source without a sha256 must be said" 'sources = { { url = "https://127.0.0.1/x" } }' "unpinned = true"
unsafe "so must plain http" "sha256 = \"$sum\", sources = { { url = \"http://127.0.0.1/x\" } }" "insecure = true"
unsafe "and FTP" "sha256 = \"$sum\", sources = { { url = \"ftp://127.0.0.1/x\" } }" "insecure = true"

# A baseline's library is not the one that the program was linked with.
if [ -n "$libraries" ]; then
    mkdir lib
    # shellcheck disable=SC2086  # a list
    cp $libraries lib/
    printf 'x' >>lib/libfaiss.so
    LD_LIBRARY_PATH=$work/lib run run --no-plots --out r tiny.lua
    check "another library of a baseline is refused" '[ $status = 1 ] && says "lib/libfaiss.so: its sha256 is"'
fi

exit $failed
