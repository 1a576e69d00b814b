/* folder_lock.h - one writer a results folder. */
#ifndef DRIFTLINE_FOLDER_LOCK_H
#define DRIFTLINE_FOLDER_LOCK_H

#include "core/error.h"

/* Takes the folder for this process until *lock is closed or the process ends, however it does.
   ERR_IO: it cannot be written, or another process has it, which the sentence names. */
int folder_lock(const char *dir, int *lock, struct error *);

#endif
