/* runtime.h - CUDA, or the processor in its place (emulated/cuda.h), and what both need wrapped. */
#ifndef DRIFTLINE_RUNTIME_H
#define DRIFTLINE_RUNTIME_H

#include <cstddef>
#include <cstdint>

#ifdef CUDA_EMULATED
#include "kernels/cuda/emulated/cuda.h"
#else
#include <cublas_v2.h>
#include <cuda_runtime.h>

/* kernel<<<grid, block>>>(arguments), which no C++ compiler reads. */
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, Arguments... arguments)
{
    kernel<<<grid, block>>>(arguments...);
}
#endif

enum { WARP = 32 };
static constexpr unsigned WHOLE_WARP = 0xffffffffu;

static inline unsigned blocks_for(size_t n, size_t each)
{
    return static_cast<unsigned>((n + each - 1) / each);
}

#endif
