/* values.h - numbers of the command line. Each call returns 0, or -1 if the text is no such number. */
#ifndef DRIFTLINE_CLI_SUPPORT_VALUES_H
#define DRIFTLINE_CLI_SUPPORT_VALUES_H

#include <stddef.h>
#include <stdint.h>

/* A whole number from 1. */
int options_count(const char *text, size_t *out);
/* "4G", "512M", "1073741824": above 0. */
int options_bytes(const char *text, uint64_t *out);
/* The index of one of n words; n: none of them. Not -1. */
size_t options_word(const char *text, const char *const *words, size_t n);
/* A number of a range, both bounds included. */
int options_real(const char *text, double least, double most, double *out);

#endif
