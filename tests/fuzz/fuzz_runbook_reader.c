/* fuzz_runbook_reader.c - runbooks of arbitrary text: an accepted runbook meets
 * the guarantees of runbook.h. */
#include "src/data/runbook.h"
#include "tests/fuzz/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct runbook r;
    struct error err = { 0 };
    int rc = runbook_parse("fuzz", (const char *)data, bytes, NULL, &r, &err);
    fuzz_expect(rc == err.code && (rc == OK || err.text[0]), "an error without a sentence");
    fuzz_expect((rc == OK) == (r.n > 0), "steps with an error, or neither");
    for (size_t i = 0; i < r.n; i++) {
        const struct runbook_step *s = &r.steps[i];
        fuzz_expect(s->number == r.steps[0].number + i, "a gap");
        if (s->end || (s->operation != RUNBOOK_SEARCH && s->operation < RUNBOOK_WAIT))
            fuzz_expect(s->start < s->end, "an empty range");
        if (s->operation == RUNBOOK_SEARCH)
            fuzz_expect(s->end <= r.queries_needed, "a query past the last");
        if (s->batch)
            fuzz_expect((s->end - s->start) / s->batch < 1000000, "too many batches");
        if (s->operation == RUNBOOK_INSERT)
            fuzz_expect(s->end <= r.rows_needed && s->end - s->start <= r.max_pts,
                        "an insert too large");
    }
    runbook_close(&r);
    return 0;
}
