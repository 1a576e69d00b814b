# The list of commands and options; all three print it.
run help
FILTER='head -n 5' run
FILTER='head -n 5' run --help
