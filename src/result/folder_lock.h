/* folder_lock.h - a lock that admits one writer per results folder. */
#ifndef DRIFTLINE_RESULT_FOLDER_LOCK_H
#define DRIFTLINE_RESULT_FOLDER_LOCK_H

#include "src/core/error.h"

/* Locks the folder for this process until the caller closes *lock or the process ends. ERR_IO: the
   folder is not writable, or another process holds the lock; the message names it. */
int folder_lock(const char *dir, int *lock, struct error *);

#endif
