/* op_sequence.h - what each thread of a concurrent or mixed operation does, in which order and when.
 *
 * The recorder walks the sequences to assign rows and ids. The replay walks them again, so that
 * every method and repeat gets the same operations.
 *
 * concurrent   The readers come first. Reader r of R asks the queries in order, from query r n / R
 *              on. Writer w of W makes the changes from w c / W on. Operation i of a thread is due
 *              i / rate after the start.
 * mix          Operation i of thread t of T is operation g = i T + t of all. Its kind is drawn by
 *              op->shares, and a search's query uniformly. It is due after the start at
 *
 *                MIX_CONSTANT   g / rate
 *                MIX_BURST      floor(g / burst) burst / rate
 *                MIX_POISSON    the sum of the thread's i first gaps, each -ln(1 - u) T / rate for
 *                               a uniform u: all threads together are a Poisson process
 *                MIX_RECORDED   due_ns[g]
 *
 *              Changes of a kind are made in the order of g: insertion j of all inserts row j. */
#ifndef DRIFTLINE_WORKLOAD_OP_SEQUENCE_H
#define DRIFTLINE_WORKLOAD_OP_SEQUENCE_H

#include "src/core/rng.h"
#include "src/workload/op.h"

/* A mix that finds a rate runs so many trials at most, of op->operations each: a closed loop, then
   one for each bit of the rate. */
enum { MIX_TRIALS = 10 };

struct op_sequence {
    const struct op *op;
    size_t thread, n_threads;
    size_t i, from;     /* operations so far; those of earlier trials */
    size_t end;         /* mix: operations of all threads, with those of earlier trials */
    double rate, due_s; /* of the operation; 0: unpaced. due_s: MIX_POISSON */
    struct rng kinds, gaps, queries;
    /* The thread's changes in their order; NULL: they are not assigned yet. */
    const uint64_t *changes;
    size_t n_changes, changed;
};

struct op_planned {
    enum mix_kind kind;
    size_t query, change; /* of a search: position of its query. Else: the change (op.h) */
    uint64_t due_ns;      /* after the start of the trial; 0 if unpaced */
};

size_t op_threads(const struct op *);
/* Where a rate is to be found, the sequence is empty until its first trial. */
struct op_sequence op_sequence_begin(const struct op *, size_t thread);
/* Begins another trial at this rate, of op->operations. */
void op_sequence_trial(struct op_sequence *, double rate);
/* The thread's next operation. Returns false at the end: of its changes, of `end`, or of
   op->seconds, by which it is not due. */
bool op_sequence_next(struct op_sequence *, struct op_planned *);
/* mix: counts the operations of each kind in all sequences. Where a closed loop has no number of
   operations, sets op->operations: as many as n_rows rows to write last. */
int op_sequence_count(struct op *, size_t n_rows, size_t counts[MIX_KINDS], struct error *);
/* Assigns the changes to the threads: those of thread t, in its order, are changes[starts[t]] to
   changes[starts[t + 1] - 1]. There is space for op_changes() and for op_threads() + 1. */
int op_sequence_deal(const struct op *, uint64_t *changes, size_t *starts, struct error *);

#endif
