#!/bin/bash
# coverage.sh - the share of lines that the tests of a coverage build reached, file by file and by folder.
#
#   coverage.sh OUT      OUT: the folder of a build with --coverage whose tests have run
set -eu

out=$1
cd "$out"
# One report a source, of only our own sources; headers are counted where they are included.
mkdir -p emulated && find obj emulated -name '*.gcda' ! -path 'obj/tests/*' -exec gcov -n -r -s "$OLDPWD" {} + 2>/dev/null |
    awk -F"'" '
        /^File / { file = $2; next }
        /^Lines executed:/ && file != "" {
            split($0, part, /[:%]| of /)
            percent = part[2]; lines = part[4]
            hit[file] = hit[file] > percent * lines / 100 ? hit[file] : percent * lines / 100
            all[file] = all[file] > lines ? all[file] : lines
            file = ""
        }
        END {
            for (file in all) {
                folder = file; sub(/\/[^\/]*$/, "", folder)
                folder_hit[folder] += hit[file]; folder_all[folder] += all[file]
                total_hit += hit[file]; total_all += all[file]
                printf "%5.1f %%  %6d lines  %s\n", 100 * hit[file] / all[file], all[file], file
            }
            for (folder in folder_all)
                printf "%5.1f %%  %6d lines  %s/ (folder)\n", 100 * folder_hit[folder] / folder_all[folder],
                    folder_all[folder], folder
            if (total_all) printf "%5.1f %%  %6d lines  ~ all\n", 100 * total_hit / total_all, total_all
        }' | sort -k 5
