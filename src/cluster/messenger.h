/* messenger.h - messages between the ranks of a run under mpirun.
 *
 * A thread of its own makes all calls of MPI: it sends, receives, and lets rank 0 and the others hear
 * of each other once a second. Other threads put messages into its queue and take them from boxes. Rank 0
 * may send to itself. A rank that is not heard of any more is taken for dead; the others go on. */
#ifndef DRIFTLINE_CLUSTER_MESSENGER_H
#define DRIFTLINE_CLUSTER_MESSENGER_H

#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"

enum message_kind {                  /* to rank 0's dispatcher, then to a worker */
                    MESSAGE_READY,   /* a worker has loaded the config: JSON about its machine */
                    MESSAGE_PART,    /* a piece of a part of the ground truth */
                    MESSAGE_DONE,    /* a cell's result */
                    MESSAGE_FAILED,  /* a worker gives up: text */
                    MESSAGE_LOAD,    /* load the config */
                    MESSAGE_COMPUTE, /* compute a part of the ground truth: which */
                    MESSAGE_TRUTH,   /* a piece of the whole ground truth */
                    MESSAGE_CELL,    /* run a cell: its number */
                    MESSAGE_STOP,
                    MESSAGE_KINDS
};

enum message_box { BOX_DISPATCHER, BOX_WORKER, BOXES };

struct message {
    int from; /* of one in the queue: to */
    enum message_kind kind;
    size_t n;
    unsigned char *bytes; /* n, and a 0 after them */
    /* Private. */
    struct message *next;
    struct mpi_send *send; /* of one in the queue; NULL: not begun */
};

struct messenger;

/* Starts MPI. ERR_UNSUPPORTED: there is no library for it, or MPI does not start. */
int messenger_open(struct messenger **, struct error *);
/* Sends what is in the queue, but not to ranks that are taken for dead, and ends MPI. NULL is
   allowed. */
void messenger_close(struct messenger *);

int messenger_rank(const struct messenger *);
int messenger_ranks(const struct messenger *);

/* Copies the bytes and returns at once. ERR_NO_MEMORY. */
int messenger_send(struct messenger *, int to, enum message_kind, const void *bytes, size_t n,
                   struct error *);
/* How many messages to the rank are not sent yet. */
size_t messenger_queued(struct messenger *, int to);
/* Waits at most wait_s seconds for a message; NULL: none. The caller frees it. */
struct message *messenger_take(struct messenger *, enum message_box, double wait_s);
void message_free(struct message *);

/* Whether rank 0 (asked by another) or a rank (asked by rank 0) was heard of lately. */
bool messenger_hears(struct messenger *, int rank);
/* Nothing is sent to it any more. */
void messenger_forget(struct messenger *, int rank);

#endif
