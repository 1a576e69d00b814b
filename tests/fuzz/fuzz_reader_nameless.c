/* fuzz_reader_nameless.c - arbitrary bytes under a name without a known suffix: gzip, and the
 * formats recognised by content. HDF5 is refused in memory. */
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz", data, bytes);
    return 0;
}
