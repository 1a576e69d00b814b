/* sysinfo.h - the environment recorded in a result: machine, build, libraries, load, kernels. */
#ifndef DRIFTLINE_BASE_SYSINFO_H
#define DRIFTLINE_BASE_SYSINFO_H

#include <jansson.h>
#include <stdbool.h>

struct kernels;

/* A new object. Its array "warnings" lists conditions that affect measured times, such as a busy
   machine or a power-saving governor. `root` is the checkout (NULL: the working folder). */
json_t *sysinfo_environment(const struct kernels *, const char *root, size_t threads);
/* A new string, or JSON null if unknown. */
json_t *sysinfo_cpu_model(void);
/* Whether OpenBLAS has chosen kernels without AVX-512 although the processor has it. */
bool sysinfo_blas_is_below(void);

#endif
