/* crash.h - what a dying process says last: the signal and a backtrace, on stderr. */
#ifndef DRIFTLINE_CRASH_H
#define DRIFTLINE_CRASH_H

/* Handles SEGV BUS FPE ILL ABRT of this process: writes the signal's name and a backtrace to
   stderr, then lets the signal kill. Works on a stack of its own, so that a stack overflow is
   told too. */
void crash_handlers_install(void);
/* "SIGSEGV (invalid memory access)"; "signal 42" for one without a name here. */
const char *crash_signal_name(int signal);

#endif
