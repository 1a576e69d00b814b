/* dispatch.c - the tables of kernels, and which of them this processor can run. Queries the
 * processor and keeps no state. */
#include "kernels/kernels.h"

#include <string.h>

#if defined(__x86_64__)
#define KERNEL(result, kernel, arguments) result avx2_##kernel arguments;
#include "kernels/kernels.def"
#define KERNEL(result, kernel, arguments) result avx512_##kernel arguments;
#include "kernels/kernels.def"
const struct kernels kernels_avx2 = {
    .isa = ISA_AVX2,
    .name = "avx2",
#define KERNEL(result, kernel, arguments) .kernel = avx2_##kernel,
#include "kernels/kernels.def"
};
const struct kernels kernels_avx512 = {
    .isa = ISA_AVX512,
    .name = "avx512",
#define KERNEL(result, kernel, arguments) .kernel = avx512_##kernel,
#include "kernels/kernels.def"
};
#endif

/* The builtins also check (xgetbv) that the system saves the wide registers. */
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
