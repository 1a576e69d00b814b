/* avx512.h - prototypes of the AVX-512 kernels, for the files of this folder and for dispatch.c. */
#ifndef DRIFTLINE_KERNELS_AVX512_AVX512_H
#define DRIFTLINE_KERNELS_AVX512_AVX512_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define KERNEL(result, kernel, arguments) result avx512_##kernel arguments;
#include "kernels/kernels.def"

#endif
