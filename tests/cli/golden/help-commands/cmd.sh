# A command's own help has the options that apply to it, by what they are for; docs/driftline.1 has those of all.
run run --help
FILTER='sed 6q' run help compare
FILTER='sed 6q' run compare --help
FILTER='sed 6q' run x.lua --help
