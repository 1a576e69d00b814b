# shellcheck shell=bash disable=SC2034  # FILTER is read by run, of golden.sh
# Methods of other libraries are listed where they were built.
FILTER="grep -v '^faiss\|^hnswlib\|^usearch\|^not in this build'" run list methods
# A set of Debian, of the internet, of a recipe; describe has each of them (test_catalog.sh). Debian's package may be installed.
FILTER="sed '/^fashion-mnist /s/at hand      /Debian, 31 MB/' | grep '^dataset\|^fashion-mnist \|^glove-100-angular\|^photo-'" run list datasets
