/* fuzz_reader_multivec.c - documents of arbitrary counts. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.multivec", data, bytes);
    return 0;
}
