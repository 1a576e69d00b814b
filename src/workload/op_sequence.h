/* op_sequence.h - what each thread of a concurrent or mixed operation does, in which order and when.
 *
 * The recorder walks the sequences to assign rows and ids. The replay walks them again, so that
 * every method and repeat gets the same operations.
 *
 * concurrent   The readers come first. Reader r of R asks the queries in order, from query r n / R
 *              on. Writer w of W makes the changes from w c / W on. Operation i of a thread is due
 *              i / rate after the start.
 * mix          Operation i of thread t of T is operation g = i T + t of all, and of n_all that are
 *              expected. Its kind is drawn by op->shares. It is due after the start at
 *
 *                MIX_CONSTANT   g / rate
 *                MIX_BURST      floor(g / burst) burst / rate
 *                MIX_POISSON    the sum of the thread's i first gaps, each -ln(1 - u) T / rate for
 *                               a uniform u: all threads together are a Poisson process
 *                MIX_RECORDED   due_ns[g]
 *
 *              Insertion j of all, in the order of g, inserts row j; at a rate, the threads take the
 *              operations of all sequences as they are due (src/run/replay/load.h).
 *
 * Which of the n queries a search of a mix asks:
 *
 *   QUERY_UNIFORM   each with the same probability
 *   QUERY_ZIPF      the query of rank r = 0 .. n - 1 with a probability proportional to
 *                   1 / (r + 1)^skew, by the approximation of Gray et al. ("Quickly generating
 *                   billion-record synthetic databases", SIGMOD 1994), as YCSB has it. The query of
 *                   rank r is number (r m + b) mod n; the seed draws m, which is prime to n, and b
 *   QUERY_LATEST    the query nearest to row j - r, j being the row that the thread inserts last before
 *                   and r drawn by that law from 0 .. j; before its first insertion: uniform
 *   QUERY_HOTSPOT   with a probability of HOT_SHARE one of the HOT_QUERIES n queries from
 *                   floor(n g / n_all) on, else one of all, both uniformly
 *   QUERY_DRIFT     uniformly one of w = DRIFT_QUERIES n queries from floor((n - w) g / n_all) on */
#ifndef DRIFTLINE_WORKLOAD_OP_SEQUENCE_H
#define DRIFTLINE_WORKLOAD_OP_SEQUENCE_H

#include "src/core/rng.h"
#include "src/workload/op.h"

/* A mix that finds the largest rate runs so many trials, of op->operations each: a closed loop, then
   one for each bit of the rate. */
enum { MIX_TRIALS = 10 };
#define HOT_SHARE     .8
#define HOT_QUERIES   .2
#define DRIFT_QUERIES .1

/* Draws ranks 0 .. n - 1 by a Zipf law, of a number n that may grow. */
struct op_zipf {
    double skew, zeta; /* zeta: the sum of 1 / i^skew for i = 1 .. n */
    double two, eta;   /* that sum up to 2; what the formula calls eta */
    size_t n;
};

/* Which operations of a sequence are taken. */
enum op_only { OP_ALL, OP_ONLY_SEARCHES, OP_ONLY_CHANGES };

struct op_sequence {
    const struct op *op;
    size_t thread, n_threads;
    size_t i, from;     /* operations so far; those of earlier trials */
    size_t end;         /* mix: operations of all threads, with those of earlier trials */
    double rate, due_s; /* of the operation; 0: unpaced. due_s: MIX_POISSON */
    struct rng kinds, gaps, queries;
    struct op_zipf zipf;
    size_t factor, offset; /* QUERY_ZIPF: m and b */
    size_t written;        /* QUERY_LATEST: the row inserted last, plus one; 0: none */
    /* The thread's changes in their order; NULL: they are not assigned yet. */
    const uint64_t *changes;
    size_t n_changes, changed;
    enum op_only only; /* the others are left out */
};

struct op_planned {
    enum mix_kind kind;
    size_t number;        /* g */
    size_t query, change; /* of a search: position of its query. Else: the change (op.h) */
    size_t near;     /* QUERY_LATEST: the query nearest to this row; SIZE_MAX: `query` is set */
    uint64_t due_ns; /* after the start of the trial; 0 if unpaced */
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
