/* tsan.h - for tests that run hnswlib under the thread sanitizer: no search for lock cycles.
 *
 * An insert of hnswlib keeps the lock of its own node and takes those of nodes that were linked
 * before it, so inserts never wait in a circle; but by address the locks come in every order, and
 * thousands of pairs are more than the sanitizer keeps the stacks of, so no suppression fits them.
 */
#ifndef DRIFTLINE_TESTS_SUPPORT_TSAN_H
#define DRIFTLINE_TESTS_SUPPORT_TSAN_H

#include "tests/support/testing.h"

/* First in main(): the sanitizer reads its options before that, so the test starts itself anew. */
static inline void test_any_order_of_locks(void)
{
    const char *options = getenv("TSAN_OPTIONS");
    char more[PATH_MAX + 64];

    if (!TEST_IS_THREAD_SANITIZED || (options && strstr(options, "detect_deadlocks=0")))
        return;
    (void)snprintf(more, sizeof more, "%s:detect_deadlocks=0", options ? options : "");
    if (setenv("TSAN_OPTIONS", more, 1) == 0)
        test_restart();
}

#endif
