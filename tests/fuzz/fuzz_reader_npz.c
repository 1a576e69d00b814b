/* fuzz_reader_npz.c - a zip of arbitrary bytes: its end record, its directory, its npy members. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz.npz", data, bytes);
    return 0;
}
