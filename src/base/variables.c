/* variables.c - see variables.h. The launcher has the same list of names. */
#include "src/base/variables.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quote.h"

extern char **environ;

static const char *const families[] = { "OPENBLAS_", "GOTO_", "BLIS_",   "MKL_",      "OMP_",
                                        "GOMP_",     "KMP_",  "MALLOC_", "TCMALLOC_", NULL },
                         *const singles[] = { "LD_PRELOAD=", "LD_AUDIT=", "LD_PROFILE=",
                                              "LD_HWCAP_MASK=", NULL };

static bool begins_like(const char *entry, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(entry, *names, strlen(*names)) == 0)
            return true;
    return false;
}

json_t *variables_removed(void)
{
    json_t *removed = json_array();
    const char *removed_by_launcher = getenv("DRIFTLINE_NEUTRALISED");
    char *copy = removed_by_launcher ? strdup(removed_by_launcher) : NULL, *rest = NULL;

    for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        (void)json_array_append_new(removed, quote_json(line));
    free(copy);
    return removed;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *variables_set(void)
{
    enum { MOST = 100 };
    const char *found[MOST];
    json_t *set = json_array();
    size_t n = 0;

    for (char **entry = environ; entry && *entry && n < MOST; entry++)
        if (begins_like(*entry, families) || begins_like(*entry, singles))
            found[n++] = *entry;
    qsort(found, n, sizeof *found, by_text);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(set, quote_json(found[i]));
    return set;
}
