/* avx2.h - prototypes of the AVX2 kernels, for the files of this folder and for dispatch.c. */
#ifndef DRIFTLINE_KERNELS_AVX2_AVX2_H
#define DRIFTLINE_KERNELS_AVX2_AVX2_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

#define KERNEL(result, kernel, arguments) result avx2_##kernel arguments;
#include "kernels/kernels.def"

#endif
