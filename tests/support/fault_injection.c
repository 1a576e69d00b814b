/* fault_injection.c - the fault hook. */
#include "tests/support/fault_injection.h"

#include <errno.h>

static int before(void *to, const char *call)
{
    struct injected_faults *m = to;
    const size_t n = atomic_fetch_add(m->calls, 1) + 1, fail_at = m->fail_at;

    if (fail_at == 0 || (n != fail_at && !(m->fail_on && n > fail_at)))
        return 0;
    m->failed = call;
    return m->code;
}

void faults_begin(struct injected_faults *m, atomic_size_t *calls)
{
    *m = (struct injected_faults){
        .calls = calls, .code = EIO, .failed = "", .fault = { before, m }
    };
}
