/* child.h - the forked processes of a cell: one replays the operations and reports each step; between
 * it and the harness stands a guard. Processes that the cell leaves running become children of the
 * guard, which kills and reports them. If the harness is killed, the guard ends the cell and removes
 * its folder.
 *
 * A line on the pipe is the cell's key, a space, and a JSON object. In this order:
 *
 *     { pid }, { facts: {...} }                once
 *     the messages of replay.h                 among them
 *     { answers: {pass, op, concurrent, queries, ids, range} }
 *                                              then 64-bit words: positions, starts (only of a
 *                                              range, queries + 1), ids
 *     { outside: [file...] }                   after a step, if there are such files
 *     { end: {code, error, ...} }              last
 *
 * Then the guard sends { left: [process...] }, { temporary: [path...] } and { ended: wait status,
 * all_seconds: processor time of all the cell's processes }.
 *
 * The harness scores answers while the child waits and replies with { code, error, recall }. A held
 * cell (compare.c) sends { ready: {ns} } before each operation and receives { order }.
 *
 * The key is random for each cell. A line without it was not written by the harness's code. The key
 * does not protect against a method that searches the memory of its process for it. */
#ifndef DRIFTLINE_RUN_CHILD_H
#define DRIFTLINE_RUN_CHILD_H

#include "src/run/cell.h"
#include "src/truth/scorer.h"

enum { CELL_KEY_BYTES = 16 }; /* in hexadecimal */

struct cell_channel {
    int lines, replies; /* pipe ends: lines is written, replies is read */
    char key[CELL_KEY_BYTES + 1];
    /* The cell is in the harness's process (cell.h): takes the objects, and scores the answers. A
       value other than 0 ends the replay after this step. NULL: there are pipes */
    int (*take)(void *to, json_t *);
    void *to;
    struct scorer *scorer;
};

/* Never returns: the calling process becomes the guard, and starts the cell. SIGTERM ends it. dir: an
   empty folder for this cell. errors: becomes its stderr. */
_Noreturn void cell_guard(const struct cell *, const struct cell_env *, const char *dir,
                          const struct cell_channel *, int errors, pid_t harness);
/* Replays the operations in this process. guard: its parent, or 0. */
void cell_replay(const struct cell *, const struct cell_env *, const char *dir,
                 const struct cell_channel *, pid_t guard);
/* In bytes: the limit of the command line, of the config, or 80 % of the machine's memory. */
uint64_t cell_memory_limit(const struct cell_env *);
/* The limit of the command line, else of the config, else 1800. */
double cell_timeout_s(const struct cell_env *);

#endif
