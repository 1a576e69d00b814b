/* hdf5_error.h - inside src/data: the HDF5 library's own words for what failed. */
#ifndef DRIFTLINE_HDF5_ERROR_H
#define DRIFTLINE_HDF5_ERROR_H

#include <hdf5.h>
#include <stdio.h>

enum { HDF5_REASON_BYTES = 200 };

/* Without this the library prints its stack on stderr at every failed call. */
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

static inline const char *hdf5_reason(char text[HDF5_REASON_BYTES])
{
    snprintf(text, HDF5_REASON_BYTES, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, hdf5_innermost, text);
    return text;
}

#endif
