/* protocol.h - the shared memory between the harness and the client of `external`. docs/external.md
 * has the protocol; a change of what it says needs a new EXTERNAL_VERSION. */
#ifndef DRIFTLINE_EXTERNAL_PROTOCOL_H
#define DRIFTLINE_EXTERNAL_PROTOCOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXTERNAL_VERSION = 1,
    EXTERNAL_SOCKET = 3, /* the client's descriptor */
    EXTERNAL_SHARED_BYTES = 256 << 20,
    EXTERNAL_TEXT_AT = 512,
    EXTERNAL_DATA_AT = 4096,
    EXTERNAL_TEXT_BYTES = EXTERNAL_DATA_AT - EXTERNAL_TEXT_AT,
    EXTERNAL_NAME_BYTES = 64,
};

enum external_operation {
    EXTERNAL_PING,
    EXTERNAL_CREATE,
    EXTERNAL_INSERT,
    EXTERNAL_SEARCH,
    EXTERNAL_DELETE,
    EXTERNAL_SAVE,
    EXTERNAL_LOAD,
    EXTERNAL_COUNT,
    EXTERNAL_IDS,
    EXTERNAL_END,
    EXTERNAL_OPERATIONS
};

enum external_capability { /* bits of the client's hello */
                           EXTERNAL_BY_MEMORY = 1,
                           EXTERNAL_CAN_DELETE = 2,
                           EXTERNAL_CAN_SAVE = 4,
                           EXTERNAL_CAN_FILTER = 8,
};

enum external_status {
    EXTERNAL_OK,
    EXTERNAL_FAILED,
    EXTERNAL_UNSUPPORTED,
    EXTERNAL_NO_MEMORY,
    EXTERNAL_STATUSES
};

struct external_hello {
    uint32_t version, capabilities;
    char name[EXTERNAL_NAME_BYTES]; /* as many bytes as the message has */
};

/* Offsets are in bytes from the start of the shared memory. */
struct external_request {
    uint64_t operation, n, k, threads, effort;
    uint64_t rows_at, ids_at, distances_at, filter_at, filter_ids;
    uint64_t dim, element, metric, expected_n, seed;
};

struct external_answer {
    uint64_t status, done;
    uint64_t distances, bytes; /* of a search: computed, read; UINT64_MAX: not reported */
};

struct external_shared {
    _Atomic uint32_t asked, answered, client_sleeps, harness_sleeps;
    struct external_request request;
    struct external_answer answer;
};

_Static_assert(offsetof(struct external_shared, request) == 16, "as in docs/external.md");
_Static_assert(offsetof(struct external_shared, answer) == 136, "as in docs/external.md");

#endif
