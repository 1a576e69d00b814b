/* hdf5_error.h - the error message of the HDF5 library. For src/data only. */
#ifndef DRIFTLINE_DATA_READERS_HDF5_ERROR_H
#define DRIFTLINE_DATA_READERS_HDF5_ERROR_H

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

enum { HDF5_REASON_BYTES = 200 };

/* Otherwise the library prints its error stack to stderr at each failed call, and crashes at exit where
   a file could not be closed, on a full disk. We close every file, so it has nothing to do at exit. */
static inline void hdf5_silence(void)
{
    (void)H5dont_atexit(); /* comes first; fails, without harm, where the library is in use */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* Of a failed system call the library writes lines of times and addresses, and in them the system's
   message in quotes. */
static inline herr_t hdf5_innermost(unsigned depth, const H5E_error2_t *e, void *out)
{
    static const char before[] = "error message = '";
    (void)depth;
    if (!e->desc || !*e->desc)
        return 0;
    const char *system = strstr(e->desc, before);
    if (system)
        snprintf(out, HDF5_REASON_BYTES, "%.*s", (int)strcspn(system + strlen(before), "'"),
                 system + strlen(before));
    else
        snprintf(out, HDF5_REASON_BYTES, "%s", e->desc);
    return 1; /* stops the walk at the first cause */
}

/* The innermost message of the library's error stack, in text. */
static inline const char *hdf5_reason(char text[HDF5_REASON_BYTES])
{
    snprintf(text, HDF5_REASON_BYTES, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, hdf5_innermost, text);
    return text;
}

#endif
