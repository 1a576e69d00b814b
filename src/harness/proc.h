/* proc.h - what /proc says of processes, ours and others. */
#ifndef DRIFTLINE_PROC_H
#define DRIFTLINE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* When a process started, in clock ticks since the system did: with its number it names one process
   for good. False: there is none. */
bool proc_start(pid_t pid, uint64_t *ticks);
/* Whether it runs: false too where only its parent has not noticed its end yet. */
bool proc_runs(pid_t pid);
/* Up to `most` running processes into pids: the children of `parent`, or all for 0. */
size_t proc_list(pid_t parent, pid_t *pids, size_t most);
/* Threads of this process; 0 where that cannot be read. */
size_t proc_threads(void);
/* Processor time of this process, of all its threads; of its children that have ended and been waited for, and theirs. */
double proc_own_seconds(void);
double proc_children_seconds(void);
/* "4711 (sleep 30)": number and command line. */
void proc_name(pid_t pid, char *text, size_t bytes);
/* Whether it has `path` open; below: also anything under it, and working there counts. */
bool proc_holds(pid_t pid, const char *path, bool below);

#endif
