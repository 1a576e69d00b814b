/* thread_ranks.h - the ranks of an index as threads of the test, which can be killed, delayed and silenced. */
#ifndef DRIFTLINE_TESTS_SHARDED_THREAD_RANKS_H
#define DRIFTLINE_TESTS_SHARDED_THREAD_RANKS_H

#include <pthread.h>

#include "src/core/index.h"
#include "src/core/ranks/shards.h"
#include "src/core/registry.h"

enum { THREAD_RANKS_MAX = 16 };

struct thread_message {
    struct rank_message message;
    struct thread_message *next;
};

struct thread_box {
    struct thread_message *first, *last;
};

struct thread_ranks;

struct thread_rank {
    struct rank_group base; /* its own side */
    struct thread_ranks *all;
    size_t number;
    pthread_t thread;
    bool started, killed, ended;
    struct thread_box box;
    char folder[4096];
    int rc;
};

/* One group at a time. */
struct thread_ranks {
    struct ranks base;
    struct rank_group group; /* rank 0's side */
    const struct index_ops *ops;
    const struct registry *registry;
    struct thread_rank ranks[THREAD_RANKS_MAX];
    struct thread_box box; /* rank 0's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool refuses_start;
    bool silent[THREAD_RANKS_MAX]; /* its replies wait until it is not */
    size_t restarts;
    size_t deaths, noticed; /* of ranks; those after which group_receive() has returned at once */
    /* This rank is killed once it has done its next request, before it replies; 0: none. */
    size_t dies_after;
    /* This rank is killed at one of its next requests: before it is done, or before the reply. */
    struct {
        size_t rank, requests; /* 1: the next one; 0: none */
        bool replies_not;
    } death;
};

/* Of the rank whose thread calls; 0 in all other threads. */
size_t thread_ranks_own(void);

void thread_ranks_begin(struct thread_ranks *, const struct index_ops *, const struct registry *);
/* All groups are closed. */
void thread_ranks_end(struct thread_ranks *);
/* As kill -9 between two requests: memory is lost, files stay. The thread has ended. */
void thread_ranks_kill(struct thread_ranks *, size_t rank);
/* Holds back the rank's replies, or lets them go. */
void thread_ranks_silence(struct thread_ranks *, size_t rank, bool silent);

#endif
