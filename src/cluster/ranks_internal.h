/* ranks_internal.h - what ranks.c and serve.c say to each other. */
#ifndef DRIFTLINE_CLUSTER_RANKS_INTERNAL_H
#define DRIFTLINE_CLUSTER_RANKS_INTERNAL_H

#include <stdint.h>

enum rank_tag {
    TAG_HELLO = 1, /* a rank: struct rank_hello; rank 0's answer: texts */
    TAG_MESSAGE,   /* of the method */
    TAG_ALIVE,     /* once a second, of a rank that works */
};

enum { RANK_HOST_BYTES = 256 };

struct rank_hello {
    int64_t pid;
    char host[RANK_HOST_BYTES];
};

#endif
