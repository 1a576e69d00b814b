/* results.h - results that tests make up. */
#ifndef DRIFTLINE_TESTS_SUPPORT_RESULTS_H
#define DRIFTLINE_TESTS_SUPPORT_RESULTS_H

#include "src/result/read.h"
#include "tests/support/testing.h"

/* Reads a result, whose reference it takes; the caller calls result_close(). */
static inline struct result result_taken(json_t *json)
{
    struct result result;
    struct error err = { 0 };

    assert_non_null(json);
    assert_ok(result_open(&result, json, &err), &err);
    json_decref(json);
    return result;
}

#endif
