/* dispatch.c - which table of kernels this processor can run. Pure: it asks the processor, keeps
 * nothing. */
#include "kernels.h"

#include <string.h>

/* The builtins also ask (xgetbv) whether the system saves the wide registers. */
enum isa kernels_best_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
                 __builtin_cpu_supports("avx512vpopcntdq");
    if (avx512)
        return ISA_AVX512;
    if (avx2)
        return ISA_AVX2;
#endif
    return ISA_SCALAR;
}

const struct kernels *kernels_select(enum isa at_most)
{
#if defined(__x86_64__)
    enum isa best = kernels_best_isa();
    if (at_most >= ISA_AVX512 && best >= ISA_AVX512)
        return &kernels_avx512;
    if (at_most >= ISA_AVX2 && best >= ISA_AVX2)
        return &kernels_avx2;
#else
    (void)at_most;
#endif
    return &kernels_scalar;
}

int kernels_isa_named(const char *name, enum isa *isa)
{
    static const char *const names[] = {
        [ISA_SCALAR] = "scalar", [ISA_AVX2] = "avx2", [ISA_AVX512] = "avx512"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        *isa = (enum isa)i;
        return 0;
    }
    return -1;
}
