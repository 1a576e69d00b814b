/* avx512.c - the AVX-512 table; the kernels are in the other files that begin with avx512_. */
#if defined(__x86_64__)

#include "avx512.h"

#include "kernels.h"

const struct kernels kernels_avx512 = {
    .isa = ISA_AVX512,
    .name = "avx512",
    .l2sq_f32 = avx512_l2sq_f32,
    .ip_f32 = avx512_ip_f32,
    .cos_f32 = avx512_cos_f32,
    .l2sq_u8 = avx512_l2sq_u8,
    .ip_u8 = avx512_ip_u8,
    .cos_u8 = avx512_cos_u8,
    .l2sq_bf16 = avx512_l2sq_bf16,
    .ip_bf16 = avx512_ip_bf16,
    .l2sq_f32_1n = avx512_l2sq_f32_1n,
    .ip_f32_1n = avx512_ip_f32_1n,
    .cos_f32_1n = avx512_cos_f32_1n,
    .l2sq_u8_1n = avx512_l2sq_u8_1n,
    .ip_u8_1n = avx512_ip_u8_1n,
    .cos_u8_1n = avx512_cos_u8_1n,
    .cos_u8_each = avx512_cos_u8_each,
    .hamming_b64_1n = avx512_hamming_b64_1n,
    .hamming_b64_within = avx512_hamming_b64_within,
    .hamming_b32_lines = avx512_hamming_b32_lines,
    .hamming_b32_runs = avx512_hamming_b32_runs,
    .hamming_b64_lines = avx512_hamming_b64_lines,
    .l2sq_f32_mn = avx512_l2sq_f32_mn,
    .ip_f32_mn = avx512_ip_f32_mn,
    .cos_f32_mn = avx512_cos_f32_mn,
    .l2sq_u8_mn = avx512_l2sq_u8_mn,
    .ip_u8_mn = avx512_ip_u8_mn,
    .cos_u8_mn = avx512_cos_u8_mn,
    .hamming_b64_mn = avx512_hamming_b64_mn,
    .at_most_f32 = avx512_at_most_f32,
    .at_most_u32 = avx512_at_most_u32,
    .at_most_u8 = avx512_at_most_u8,
    .argmin_f32 = avx512_argmin_f32,
    .scan_u8 = avx512_scan_u8,
    .fastscan_64 = avx512_fastscan_64,
    .nibbles_64 = avx512_nibbles_64,
    .bound_64 = avx512_bound_64,
    .ip_f32_u1 = avx512_ip_f32_u1,
    .ip_f32_u4 = avx512_ip_f32_u4,
    .ip_f32_u8 = avx512_ip_f32_u8,
    .ip_f32_u1u4 = avx512_ip_f32_u1u4,
    .ip_mixed = avx512_ip_mixed,
    .ip_mixed_n = avx512_ip_mixed_n,
    .l2sq_mixed = avx512_l2sq_mixed,
    .grid_f32 = avx512_grid_f32,
    .residual_f32 = avx512_residual_f32,
    .code_s8 = avx512_code_s8,
    .bounds_s8 = avx512_bounds_s8,
};

#endif
