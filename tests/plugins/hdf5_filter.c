/* hdf5_filter.c - a library that creates the file DRIFTLINE_TEST_MARK when it is loaded. */
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void leave_mark(void)
{
    const char *path = getenv("DRIFTLINE_TEST_MARK");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (f)
        fclose(f);
}
