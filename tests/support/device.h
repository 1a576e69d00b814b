/* device.h - tests of the CUDA kernels: run by the processor on every machine, and by a device where
 * there is one. */
#ifndef DRIFTLINE_TESTS_SUPPORT_DEVICE_H
#define DRIFTLINE_TESTS_SUPPORT_DEVICE_H

#include "kernels/cuda/device.h"
#include "kernels/cuda/emulated/faults.h"

/* Calls `check` with a session of the emulated kernels, and then with one of the device's. Skips
   the test if neither can be opened; DRIFTLINE_TEST_DEVICE=emulated, or device, leaves out the
   other. */
void test_each_device(void (*check)(const struct device_ops *, struct device_session *));

/* The path of the emulated library, or NULL: this build has none. */
const char *test_emulated_library(void);

/* Makes device = cuda of this process use the emulated library, with a device of its defaults; skips
   the test if there is none. What a test changes of it holds until the next call. */
struct emulated_device *test_emulate_device(void);

/* Calls `check` with a session of the emulated kernels on a device of so many bytes; skips as above. */
void test_small_device(size_t bytes,
                       void (*check)(const struct device_ops *, struct device_session *));

/* n x bytes of zeros, which the two above free after the check. */
void *test_room(size_t n, size_t bytes);

/* Fails the test with the session's error unless rc is 0. */
void test_device_ok(const struct device_ops *, const struct device_session *, int rc);

#endif
