/* crash.h - the last message of a process that dies: the signal and a backtrace, on stderr. */
#ifndef DRIFTLINE_RUN_CRASH_H
#define DRIFTLINE_RUN_CRASH_H

/* Installs handlers of SEGV, BUS, FPE, ILL and ABRT that write the signal's name and a backtrace to
   stderr; the signal then kills the process. They run on a separate stack, so that a stack overflow
   is reported too. */
void crash_handlers_install(void);
/* "SIGSEGV (invalid memory access)"; "another signal" for one that is not in the table. */
const char *crash_signal_name(int signal);

#endif
