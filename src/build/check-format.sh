#!/bin/sh
# check-format.sh - names the files that .clang-format would change; exit status 1 if there is one.
#
#   check-format.sh [--columns] FILE...
#
# With --columns lines over 100 columns are refused as well: clang-format breaks code, not comments.
set -u

long=
if [ "${1-}" = --columns ]; then
    shift
    long=$(awk 'length > 100 { print FILENAME ":" FNR ": " length " columns; at most 100" }' "$@")
fi
bad=$(clang-format --dry-run "$@" 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: .*clang-format.*/\1/p' | sort | uniq -c)
[ -z "$bad$long" ] && exit 0
[ -n "$long" ] && printf '%s\n' "$long"
[ -z "$bad" ] && exit 1
printf '%s\n' "$bad" | while read -r places file; do
    printf '%s: %s places are not as .clang-format has them\n' "$file" "$places"
done
echo "make format mends them"
exit 1
