#!/bin/sh
# new-method.sh NAME - copies the skeleton to algorithms/NAME, lists it in the registry, builds and tests it.
set -eu
name=$1
case $name in
    '' | [!a-z]* | *[!a-z0-9_]*) echo "error: \"$name\": lower-case letters, digits and _, a letter first" >&2 && exit 2 ;;
esac
[ ${#name} -le 31 ] || { echo "error: \"$name\": a name has at most 31 bytes" >&2 && exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

folder=algorithms/$name
[ ! -e "$folder" ] || { echo "error: $folder is there already" >&2; exit 2; }

mkdir "$folder"
# The head and the summary are true of the skeleton alone.
{
    cat <<TEXT
/* $name.c - what it is, in one line.
 *
 * \`make test T=$name\` holds it to the contract, src/core/index.h, at the settings that
 * tests/contract/world_run.c has for it, or at its defaults.
 */
TEXT
    sed "1,/^ \*\//d; s/skeleton/$name/g; s/\.summary = \".*\"/.summary = \"new: compares every row\"/
         s/\.source = \".*\"/.source = \"its paper or project\"/" algorithms/skeleton/skeleton.c
} >"$folder/$name.c"
# A word of C or of the headers, such as int or index, would leave a tree that no command can build.
if ! "${CC:-gcc}" -std=c11 -I. -fsyntax-only "$folder/$name.c" 2>/dev/null; then
    rm -r "$folder"
    echo "error: new: \"$name\" is a word of C or of src/core, which the method's C names cannot begin with; choose another" >&2
    exit 2
fi
# Before the baselines, which are listed last and only where they were built.
sed "s/^METHOD(skeleton_ops)/&\nMETHOD(${name}_ops)/" algorithms/registry.def >algorithms/registry.def.new
mv algorithms/registry.def.new algorithms/registry.def
# Lines are as long as the name allows.
! command -v clang-format >/dev/null || clang-format -i "$folder/$name.c"
line=$(printf '%-31s%s_' "$folder" "$name")
sed "s|^algorithms/skeleton .*|&\n$line|" src/build/layout.txt >src/build/layout.txt.new
mv src/build/layout.txt.new src/build/layout.txt
echo "made $folder/$name.c and listed it in algorithms/registry.def" >&2
echo "listed its folder and the start of its names in src/build/layout.txt" >&2

make --no-print-directory all
make --no-print-directory test T="$name"
cat >&2 <<TEXT

$name is a method now: ./harness describe $name
Next: open $folder/$name.c; src/core/index.h says what each operation owes, and
make test T=$name holds yours to it.
TEXT
