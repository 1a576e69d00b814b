#!/bin/sh
# check-format.sh - names the files that .clang-format would change; exit status 1 if there is one.
#
#   check-format.sh FILE...
set -u

bad=$(clang-format --dry-run "$@" 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: .*clang-format.*/\1/p' | sort | uniq -c)
[ -z "$bad" ] && exit 0
printf '%s\n' "$bad" | while read -r places file; do
    printf '%s: %s places are not as .clang-format has them\n' "$file" "$places"
done
echo "make format mends them"
exit 1
