/* library.h - messages by MPI, in a library of its own that is loaded when it is needed, so that the program
 * needs no MPI and a run without it none of its start.
 *
 * All functions are called by one thread at a time. Those that return int return 0, or another value with a
 * sentence in `why`, an array of MPI_WHY_BYTES. */
#ifndef DRIFTLINE_CLUSTER_MPI_LIBRARY_H
#define DRIFTLINE_CLUSTER_MPI_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

enum { MPI_LIBRARY_ABI = 5, MPI_WHY_BYTES = 500 };

struct mpi_link; /* another process */
struct mpi_send; /* a message under way */

struct mpi_library {
    uint32_t abi; /* MPI_LIBRARY_ABI */
    /* Starts MPI in a process of mpirun. An error of it is returned from now on, and does not end the
       processes. */
    int (*begin_world)(int *rank, int *ranks, char *why);
    /* Starts MPI without mpirun, for processes that start others; again: does nothing. */
    int (*begin)(char *why);
    /* Ends MPI, so that its daemon ends and removes its files; nothing may be called after it. It can
       wait for processes that have died. */
    void (*end)(void);
    /* Starts a process of the program, which calls begin() and parent(). It is linked with this one only. */
    int (*start)(const char *program, const char *argument, struct mpi_link **, char *why);
    /* The link to the process that started this one. */
    int (*parent)(struct mpi_link **, char *why);
    /* The link to a rank of mpirun. */
    int (*world)(int rank, struct mpi_link **, char *why);
    void (*unlink)(struct mpi_link *); /* NULL is ignored */
    /* Begins to send; the bytes must stay until is_sent() returns 1, which frees *send. At most
       2^31 - 1 bytes. */
    int (*send)(struct mpi_link *, int tag, const void *bytes, size_t n, struct mpi_send **send,
                char *why);
    int (*is_sent)(struct mpi_send *);
    /* Whether a message waits: 1 with its tag and bytes; else 0. */
    int (*is_waiting)(struct mpi_link *, int *tag, size_t *n);
    int (*take)(struct mpi_link *, int tag, void *bytes, size_t n, char *why);
};

#define MPI_LIBRARY        "libdriftline_mpi.so"
#define MPI_LIBRARY_SYMBOL "driftline_mpi_library"

#endif
