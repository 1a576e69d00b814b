/* values.c - see values.h. */
#include "src/cli/support/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int options_count(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || strchr(text, '-') || v == 0)
        return -1;
    *out = (size_t)v;
    return 0;
}

int options_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v > 0))
        return -1;
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    if (*end && (!unit || end[1]))
        return -1;
    for (const char *u = units; unit && u <= unit; u++)
        v *= 1024;
    if (v > 1e18)
        return -1;
    *out = (uint64_t)v;
    return 0;
}

int options_real(const char *text, double least, double most, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end == text || *end || !(*out >= least && *out <= most) ? -1 : 0;
}

size_t options_word(const char *text, const char *const *words, size_t n)
{
    size_t i = 0;

    while (i < n && strcmp(text, words[i]) != 0)
        i++;
    return i;
}
