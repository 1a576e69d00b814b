/* checkpoint.h - writes new manifests; the files that a manifest keeps. */
#ifndef DRIFTLINE_CHANNI_DURABLE_CHECKPOINT_H
#define DRIFTLINE_CHANNI_DURABLE_CHECKPOINT_H

struct channi;

/* Writes a new manifest to env.dir, removes the log before it and the files that only the old
   one names. Does nothing without a log. Takes `write` while it copies the state, not while
   it writes it. */
int channi_checkpoint(struct channi *);
/* For destroy(), before the cache is destroyed: releases the manifest's files. They
   stay on disk. */
void channi_manifest_close(struct channi *);

#endif
