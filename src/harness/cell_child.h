/* cell_child.h - the half of a cell that is measured: the forked process, which replays and reports
 * line by line.
 *
 * Lines on the pipe are the cell's key, a space, and a JSON object: { pid } first, { facts: {...} } once, { begin:
 * {step, point} } before an operation, { point, step: {...} } after, { outside: [file...] } where there are such, and
 * { end: {code, error, ...} } last. Between the begin and the step come answers to be scored: { answers: {pass, op,
 * concurrent, queries, ids, range} }, then positions, starts (of a range, one more) and ids as 64-bit words. To each
 * of these the other side replies with a line { code, error, recall }, and scores while the child waits.
 *
 * A held cell (cell_rounds.h) says { ready: {op, ns} } before each operation, and is told { order } in a line.
 *
 * A line without the key was not written by the harness. The key is drawn for the cell; a method that searches its
 * own process for it would find it.
 */
#ifndef DRIFTLINE_CELL_CHILD_H
#define DRIFTLINE_CELL_CHILD_H

#include "cell.h"

enum { CELL_KEY_BYTES = 16 }; /* in hexadecimal */

struct cell_channel {
    int lines, replies; /* to write to; to read from */
    char key[CELL_KEY_BYTES + 1];
};

/* Never returns. dir: the cell's own, empty. Output of the method's libraries goes to errors. */
_Noreturn void cell_child(const struct cell *, const struct cell_env *, const char *dir,
                          const struct cell_channel *, int errors, pid_t parent);
/* One line; takes the reference. Not 0: nobody reads it. */
int cell_send(const struct cell_channel *, json_t *json_taken);
/* The limit that holds: of the command line, of the config, or 80 % of the machine. */
uint64_t cell_memory_limit(const struct cell_env *);
double cell_timeout_s(const struct cell_env *);

#endif
