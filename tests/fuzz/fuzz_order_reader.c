/* fuzz_order_reader.c - files of orders of arbitrary text: what is accepted meets the guarantees of
 * op_order.h. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "src/workload/op_order.h"
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[32];
    const int fd = memfd_create("order", MFD_CLOEXEC);

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fuzz_expect(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "no file");
    for (size_t part = 0; part < 2; part++) {
        struct op_order o;
        struct error err = { 0 };
        const int rc = op_order_read(path, "x", part, &o, &err);

        fuzz_expect(rc == err.code && (rc == OK || err.text[0]), "an error without a sentence");
        for (size_t i = 0; rc == OK && i < o.n; i++) {
            const struct op_begun *b = &o.begun[i];

            fuzz_expect(b->number < OP_OPERATIONS_MAX && b->kind < MIX_KINDS, "out of range");
            fuzz_expect(i == 0 || o.begun[i - 1].ns <= b->ns, "not in order");
        }
        op_order_free(&o);
    }
    close(fd);
    return 0;
}
