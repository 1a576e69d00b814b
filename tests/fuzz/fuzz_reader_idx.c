/* fuzz_reader_idx.c - idx files of arbitrary bytes. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.idx", data, bytes);
    return 0;
}
