/* proc.h - reads /proc: facts about this process and others. */
#ifndef DRIFTLINE_RUN_MEASURE_PROC_H
#define DRIFTLINE_RUN_MEASURE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file of /proc/PID, or of this process for 0, as a string; *n: its bytes, as far as there is space.
   false: it cannot be opened. */
bool proc_read(pid_t pid, const char *name, char *text, size_t bytes, size_t *n);
/* *ticks: when the process started, in clock ticks since boot. As pids are reused, pid and start
   together identify a process. Returns false if there is no such process, or it is a zombie. */
bool proc_start(pid_t pid, uint64_t *ticks);
/* Whether the process runs; false for a zombie. */
bool proc_runs(pid_t pid);
/* Writes up to `most` running processes to pids: the children of `parent`, or all processes if it
   is 0. Returns how many. */
size_t proc_list(pid_t parent, pid_t *pids, size_t most);
/* Processor time, user and system, of all threads of this process. */
double proc_own_seconds(void);
/* The same of the descendants that have ended and been waited for. */
double proc_children_seconds(void);
/* How long this thread, or all threads of the process, have waited for a processor, in ns; NAN: this
   kernel does not say. */
double proc_waited_ns(bool all);
/* Writes pid and command line: "4711 (sleep 30)". */
void proc_name(pid_t pid, char *text, size_t bytes);
/* Whether the process has `path` open. With `below`, a file under `path` or a working folder there
   also counts. */
bool proc_holds(pid_t pid, const char *path, bool below);

#endif
