# shellcheck shell=bash disable=SC2034  # FILTER is read by run, of golden.sh
# Methods of other libraries are listed where they were built.
FILTER="grep -v '^faiss\|^hnswlib\|^usearch\|^not in this build'" run list methods
# Debian's package may be installed.
FILTER="sed '/^fashion-mnist /s/at hand      /Debian, 31 MB/'" run list datasets
