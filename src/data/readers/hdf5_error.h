/* hdf5_error.h - the error message of the HDF5 library. For src/data only. */
#ifndef DRIFTLINE_DATA_READERS_HDF5_ERROR_H
#define DRIFTLINE_DATA_READERS_HDF5_ERROR_H

#include <hdf5.h>
#include <stdio.h>

enum { HDF5_REASON_BYTES = 200 };

/* Otherwise the library prints its error stack to stderr at each failed call. */
static inline void hdf5_silence(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static inline herr_t hdf5_innermost(unsigned depth, const H5E_error2_t *e, void *out)
{
    (void)depth;
    if (!e->desc || !*e->desc)
        return 0;
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
