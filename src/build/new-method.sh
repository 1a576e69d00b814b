#!/bin/sh
# new-method.sh NAME - copies the skeleton to algorithms/NAME, lists it in the registry, builds and tests it.
set -eu
name=$1
case $name in
    '' | [!a-z]* | *[!a-z0-9_]*) echo "error: \"$name\": lower-case letters, digits and _, a letter first" >&2 && exit 2 ;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

folder=algorithms/$name
[ ! -e "$folder" ] || { echo "error: $folder is there already" >&2; exit 2; }

mkdir "$folder"
sed "s/skeleton/$name/g" algorithms/skeleton/skeleton.c >"$folder/$name.c"
# Before the peers, which are listed last and only where they were built.
sed "s/^METHOD(skeleton_ops)/&\nMETHOD(${name}_ops)/" algorithms/registry.def >algorithms/registry.def.new
mv algorithms/registry.def.new algorithms/registry.def
echo "made $folder/$name.c and listed it in algorithms/registry.def" >&2

make --no-print-directory all
make --no-print-directory test T="$name"
cat >&2 <<TEXT

$name is a method now: ./harness describe $name
Next: open $folder/$name.c; src/core/index.h says what each operation owes, and
make test T=$name holds yours to it.
TEXT
