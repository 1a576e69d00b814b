/* fuzz_reader_bin.c - fbin, f16bin, u8bin, ibin, truth and raw files of arbitrary bytes. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.fbin", data, bytes);
    fuzz_open("fuzz.f16bin", data, bytes);
    fuzz_open("fuzz.u8bin", data, bytes);
    fuzz_open("fuzz.ibin", data, bytes);
    fuzz_open("fuzz.truth", data, bytes);
    fuzz_open("fuzz.f64", data, bytes);
    return 0;
}
