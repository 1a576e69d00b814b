/* sysinfo.h - the environment that goes into every result: machine, build, libraries, load, chosen
 * kernels. */
#ifndef DRIFTLINE_SYSINFO_H
#define DRIFTLINE_SYSINFO_H

#include <jansson.h>
#include <stdint.h>

struct kernels;

/* A new object; warnings (OpenBLAS below the CPU, a busy machine, a powersave governor) are under
 * "warnings". */
json_t *sysinfo_environment(const struct kernels *, const char *root, size_t threads);
uint64_t sysinfo_memory_bytes(void);
/* A new string, or null where the system does not say. */
json_t *sysinfo_cpu_model(void);

#endif
