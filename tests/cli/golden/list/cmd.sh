# Methods of other libraries are listed where they were built.
FILTER="grep -v '^faiss\|^hnswlib\|^usearch\|^not in this build'" run list methods
run list datasets
