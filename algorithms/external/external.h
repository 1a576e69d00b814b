/* external.h - a method in a process of its own, the client: internal declarations.
 *
 * client.c starts and ends the process and makes one call, method.c inserts, removes and searches,
 * creates, saves and loads, and has the options and the table.
 *
 * The client is not trusted. It can write any byte of the shared memory at any time, so each field
 * of an answer is read once, and then checked. The memory is sealed and cannot shrink. */
#ifndef DRIFTLINE_EXTERNAL_EXTERNAL_H
#define DRIFTLINE_EXTERNAL_EXTERNAL_H

#include <sys/types.h>

#include "algorithms/common/io/deadline.h"
#include "algorithms/external/protocol.h"
#include "src/core/idmap.h"
#include "src/core/index.h"

enum { EXTERNAL_END_US = 2000000 }; /* the most that the end of a client takes */

struct external_params {
    char command[PARAM_TEXT_BYTES], options[PARAM_TEXT_BYTES];
    bool shell;
    double timeout_s;
};

struct external_knobs {
    int64_t effort;
};

struct external_client {
    pid_t pid;  /* 0: not running */
    int socket; /* -1: closed */
    struct external_shared *shared;
    uint32_t capabilities, asked; /* asked: calls so far, modulo 2^32 */
    char name[EXTERNAL_NAME_BYTES + 1];
    uint64_t timeout_us;
    struct deadline deadline;
    char lost[512]; /* why the client was ended; "": it was not */
};

struct external {
    struct index base;
    struct external_params params;
    struct external_client client;
    struct idmap live; /* the ids that answers may contain */
    double overhead_ns;
};

/* method.c; external_locked_ops refuses to create and to load, so it starts no program */
extern const struct index_ops external_ops, external_locked_ops;

/* client.c */

/* Starts the program and waits for its hello. ERR_CONFIG, ERR_NOT_FOUND, ERR_IO, ERR_BASELINE,
   ERR_VERSION, ERR_NO_MEMORY; external_client_end() is then due as after success. */
int external_client_start(struct external *);
/* How long calls wait from now on. */
void external_client_set_timeout(struct external_client *, uint64_t us);
/* Waits a moment for the client to exit, ends its process group, reaps it and unmaps the memory. */
void external_client_end(struct external *);
/* Records why the client cannot be used any more and kills it. ERR_BASELINE. */
int external_client_lose(struct external *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t external_client_resident_bytes(const struct external_client *); /* private; 0: unknown */

/* Makes one call and waits for its answer. ERR_BASELINE: the client failed, was late, ended, or
   broke the protocol; ERR_UNSUPPORTED, ERR_NO_MEMORY: as the client says. `answer` is set also when
   the client reports an error; answer->done <= request->n. */
int external_call(struct external *, const struct external_request *, struct external_answer *);
/* Puts two texts into the shared memory, for the next call. ERR_ARGUMENT: too long. */
int external_put_texts(struct external *, const char *first, const char *second);
/* Measures the time of a call that does nothing. */
int external_measure(struct external *);

#endif
