/* cuda.h - device = cuda in a method: the library of kernels, and a session with a device. */
#ifndef DRIFTLINE_CUDA_H
#define DRIFTLINE_CUDA_H

#include <stdbool.h>

#include "kernels/cuda/device.h"
#include "src/core/error.h"

struct stat_sink;

/* Zeroed: none. Used by one thread at a time. */
struct cuda {
    struct device_library library;
    struct device_session *session;
};

/* The values of an option `device`, in this order. */
enum { CUDA_CPU, CUDA_CUDA };

/* Opens the library and a session, and on failure neither; the sentence begins with `who`, and
   names the option that asked for it. ERR_UNSUPPORTED: no library, driver or device. */
int cuda_open(struct cuda *, const char *who, const char *option, struct error *);
void cuda_close(struct cuda *);

static inline bool cuda_is_open(const struct cuda *c)
{
    return c->session != NULL;
}

/* OK for 0. Else records `who` and the session's sentence, and returns
   ERR_NO_MEMORY if the device has no room, or ERR_BASELINE. `rc` is what a function of the library
   returned. */
int cuda_check(const struct cuda *, int rc, const char *who, struct error *);

/* Bytes and launches since the session was opened, as device_in_bytes, device_out_bytes and
   device_launches; nothing where no session is open. */
void cuda_stats(const struct cuda *, struct stat_sink *);

#endif
