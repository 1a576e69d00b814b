/* catalog_internal.h - a data set as catalog.c read it. For catalog*.c only. */
#ifndef DRIFTLINE_CONFIG_CATALOG_INTERNAL_H
#define DRIFTLINE_CONFIG_CATALOG_INTERNAL_H

#include "src/config/data/catalog.h"
#include "src/data/fetch/fetch.h"

struct catalog_entry {
    struct dataset_entry entry; /* its strings belong to the catalog */
    enum metric metric;
};

#endif
