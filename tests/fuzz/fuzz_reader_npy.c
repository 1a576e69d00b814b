/* fuzz_reader_npy.c - npy files of arbitrary bytes. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.npy", data, bytes);
    return 0;
}
