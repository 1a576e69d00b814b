/* kernel_items.h - the calls of kernels that `bench kernels` measures, by group. */
#ifndef DRIFTLINE_BENCH_KERNEL_ITEMS_H
#define DRIFTLINE_BENCH_KERNEL_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernels.h"

/* Rows of each side of a many-to-many kernel. */
enum { BENCH_MANY_A = 96, BENCH_MANY_B = 384 };

enum bench_form { PAIR, ONE_TO_MANY, MANY_TO_MANY, SCAN };

/* The input of a kernel: n rows (or codes, or values) of dim components. */
struct bench_load {
    const void *query, *rows;
    size_t n, dim;
    void *out;
};

struct bench_item {
    const char *name;
    enum bench_form form;
    size_t component_bytes;
    int multiply_adds; /* float, per component; 0 if the kernel is not limited by them */
    void (*run)(const struct kernels *, const struct bench_load *);
};

struct bench_group {
    const char *title; /* NULL ends a list */
    const char *each;  /* the unit of a time: ns per "pair", "code" or "value" */
    const struct bench_item *items;
    size_t n;
    bool vectors; /* measured at several dimensions */
};

/* Kernels whose data are floats from 0 to 1, and kernels whose data are random bytes. */
extern const struct bench_group bench_float_groups[], bench_byte_groups[];

#endif
