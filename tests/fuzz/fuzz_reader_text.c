/* fuzz_reader_text.c - text of arbitrary bytes, under each suffix, as
   each prefers another separator. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.txt", data, bytes);
    fuzz_open("fuzz.csv", data, bytes);
    fuzz_open("fuzz.tsv", data, bytes);
    return 0;
}
