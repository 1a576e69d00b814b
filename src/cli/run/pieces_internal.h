/* pieces_internal.h - a ground truth's block (src/truth/apart.h) in messages, a piece each.
 *
 * The words are masked on their way. Processes of methods inherit the memory of this one, buffers of MPI
 * included, and must not find ids of a truth there. It is a mask, not a cipher. */
#ifndef DRIFTLINE_CLI_RUN_PIECES_INTERNAL_H
#define DRIFTLINE_CLI_RUN_PIECES_INTERNAL_H

#include "src/cluster/messenger.h"
#include "src/truth/oracle.h"

/* What has arrived so far; to begin, all fields are 0. */
struct run_pieces {
    struct oracle oracle; /* of which `got` bytes are there; freed by the receiver */
    size_t got;
};

/* Sends the piece of o->mapped that begins at byte *at, and moves *at behind it. */
int run_send_piece(struct messenger *, int to, enum message_kind, const struct oracle *, size_t *at,
                   struct error *);
/* Adds a piece. *whole: it was the last, and the truths of the oracle are set. ERR_CORRUPT: it is
   not the next one. */
int run_take_piece(struct run_pieces *, const struct op_list *, const struct message *, bool *whole,
                   struct error *);

#endif
