/* fuzz_reader_nameless.c - arbitrary bytes under a name that says nothing: gzip, and the
 * formats known by content. HDF5 is refused in memory. */
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_open("fuzz", data, bytes);
    return 0;
}
