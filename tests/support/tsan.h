/* tsan.h - for programs that run hnswlib under the thread sanitizer: no search for lock cycles.
 *
 * An insert of hnswlib keeps the lock of its own node and takes those of nodes that were linked
 * before it, so inserts never wait in a circle; but by address the locks come in every order, and
 * thousands of pairs are more than the sanitizer keeps the stacks of, so no suppression fits them.
 */
#ifndef DRIFTLINE_TESTS_SUPPORT_TSAN_H
#define DRIFTLINE_TESTS_SUPPORT_TSAN_H

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}
#endif

#endif
