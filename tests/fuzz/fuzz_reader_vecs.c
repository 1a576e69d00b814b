/* fuzz_reader_vecs.c - fvecs, bvecs and ivecs of arbitrary bytes. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.fvecs", data, bytes);
    fuzz_open("fuzz.bvecs", data, bytes);
    fuzz_open("fuzz.ivecs", data, bytes);
    return 0;
}
