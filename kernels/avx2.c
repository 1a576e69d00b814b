/* avx2.c - the AVX2 table; the kernels are in the other files that begin with avx2_. */
#if defined(__x86_64__)

#include "avx2.h"

#include "kernels.h"

const struct kernels kernels_avx2 = {
    .isa = ISA_AVX2,
    .name = "avx2",
    .l2sq_f32 = avx2_l2sq_f32,
    .ip_f32 = avx2_ip_f32,
    .cos_f32 = avx2_cos_f32,
    .l2sq_u8 = avx2_l2sq_u8,
    .ip_u8 = avx2_ip_u8,
    .cos_u8 = avx2_cos_u8,
    .l2sq_bf16 = avx2_l2sq_bf16,
    .ip_bf16 = avx2_ip_bf16,
    .l2sq_f32_1n = avx2_l2sq_f32_1n,
    .ip_f32_1n = avx2_ip_f32_1n,
    .cos_f32_1n = avx2_cos_f32_1n,
    .l2sq_u8_1n = avx2_l2sq_u8_1n,
    .ip_u8_1n = avx2_ip_u8_1n,
    .cos_u8_1n = avx2_cos_u8_1n,
    .cos_u8_each = avx2_cos_u8_each,
    .hamming_b64_1n = avx2_hamming_b64_1n,
    .hamming_b64_within = avx2_hamming_b64_within,
    .hamming_b32_lines = avx2_hamming_b32_lines,
    .hamming_b32_runs = avx2_hamming_b32_runs,
    .hamming_b64_lines = avx2_hamming_b64_lines,
    .l2sq_f32_mn = avx2_l2sq_f32_mn,
    .ip_f32_mn = avx2_ip_f32_mn,
    .cos_f32_mn = avx2_cos_f32_mn,
    .l2sq_u8_mn = avx2_l2sq_u8_mn,
    .ip_u8_mn = avx2_ip_u8_mn,
    .cos_u8_mn = avx2_cos_u8_mn,
    .hamming_b64_mn = avx2_hamming_b64_mn,
    .at_most_f32 = avx2_at_most_f32,
    .at_most_u32 = avx2_at_most_u32,
    .at_most_u8 = avx2_at_most_u8,
    .argmin_f32 = avx2_argmin_f32,
    .scan_u8 = avx2_scan_u8,
    .fastscan_64 = avx2_fastscan_64,
    .nibbles_64 = avx2_nibbles_64,
    .bound_64 = avx2_bound_64,
    .ip_f32_u1 = avx2_ip_f32_u1,
    .ip_f32_u4 = avx2_ip_f32_u4,
    .ip_f32_u8 = avx2_ip_f32_u8,
    .ip_f32_u1u4 = avx2_ip_f32_u1u4,
    .ip_mixed = avx2_ip_mixed,
    .ip_mixed_n = avx2_ip_mixed_n,
    .l2sq_mixed = avx2_l2sq_mixed,
    .grid_f32 = avx2_grid_f32,
    .residual_f32 = avx2_residual_f32,
    .code_s8 = avx2_code_s8,
    .bounds_s8 = avx2_bounds_s8,
};

#endif
