/* processes.c - processes that a process starts by itself (MPI_Comm_spawn), each with a communicator's
 * rank as its link. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cluster/mpi/internal.h"

struct mpi_link {
    MPI_Comm comm;
    int rank; /* in the remote group of comm */
};

/* What mpirun would be told by options. The environment of the user goes before. */
static void set_defaults(void)
{
    static const char *const defaults[][2] = {
        { "OMPI_MCA_pml", "ob1" },
        { "OMPI_MCA_btl", "self,tcp" },
        /* A process that dies takes no other with it. */
        { "OMPI_MCA_orte_enable_recovery", "1" },
        /* More processes than cores, and none of them bound to a core. */
        { "OMPI_MCA_rmaps_base_oversubscribe", "1" },
        { "OMPI_MCA_hwloc_base_binding_policy", "none" },
    };
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        (void)setenv(defaults[i][0], defaults[i][1], 0);
}

/* MPI's daemon, and what it starts, must not inherit the core of a thread that is bound to one. */
static int begin(char *why, size_t why_bytes)
{
    cpu_set_t own, all;
    static bool began;
    int provided, running = 0, ended = 0;
    if (MPI_Finalized(&ended) == MPI_SUCCESS && ended) {
        (void)snprintf(why, why_bytes, "MPI: it can be started once in a process (--in-process)");
        return -1;
    }
    if (began)
        return 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS || running) {
        (void)snprintf(why, why_bytes, "MPI: it was started by mpirun already");
        return -1;
    }
    set_defaults();
    memset(&all, 0xff, sizeof all);
    const int known = sched_getaffinity(0, sizeof own, &own);
    (void)sched_setaffinity(0, sizeof all, &all);
    const int rc = mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided),
                             "starting", why, why_bytes);
    if (known == 0)
        (void)sched_setaffinity(0, sizeof own, &own);
    if (rc)
        return rc;
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    (void)MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    if (provided < MPI_THREAD_SERIALIZED) {
        (void)snprintf(why, why_bytes, "MPI: it was built without support for threads");
        return -1;
    }
    began = true;
    return 0;
}

static void end(void)
{
    (void)MPI_Finalize();
}

static struct mpi_link *link_new(MPI_Comm comm, int rank, char *why, size_t why_bytes)
{
    struct mpi_link *link = malloc(sizeof *link);
    if (link)
        *link = (struct mpi_link){ comm, rank };
    else
        (void)snprintf(why, why_bytes, "MPI: out of memory for a link");
    return link;
}

static int start(const char *program, const char *argument, size_t n, struct mpi_link **links,
                 char *why, size_t why_bytes)
{
    char *arguments[] = { (char *)(size_t)argument, NULL };
    MPI_Comm comm;
    if (mpi_check(MPI_Comm_spawn(program, arguments, (int)n, MPI_INFO_NULL, 0, MPI_COMM_SELF, &comm,
                                 MPI_ERRCODES_IGNORE),
                  "starting processes", why, why_bytes))
        return -1;
    (void)MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    for (size_t i = 0; i < n; i++)
        if (!(links[i] = link_new(comm, (int)i, why, why_bytes)))
            return -1;
    return 0;
}

static int parent(struct mpi_link **link, char *why, size_t why_bytes)
{
    MPI_Comm comm = MPI_COMM_NULL;
    if (mpi_check(MPI_Comm_get_parent(&comm), "asking for the parent", why, why_bytes))
        return -1;
    if (comm == MPI_COMM_NULL) {
        (void)snprintf(why, why_bytes, "no other process has started this one");
        return -1;
    }
    (void)MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    *link = link_new(comm, 0, why, why_bytes);
    return *link ? 0 : -1;
}

/* The communicator stays: to disconnect it, all of its processes would have to be alive. */
static void unlink_process(struct mpi_link *link)
{
    free(link);
}

static int send(struct mpi_link *link, int tag, const void *bytes, size_t n, struct mpi_send **out,
                char *why, size_t why_bytes)
{
    return mpi_send_to(link->comm, link->rank, tag, bytes, n, out, why, why_bytes);
}

static int is_waiting(struct mpi_link *link, int *tag, size_t *n)
{
    MPI_Status status;
    int found = 0, bytes = 0;
    if (MPI_Iprobe(link->rank, MPI_ANY_TAG, link->comm, &found, &status) != MPI_SUCCESS || !found ||
        MPI_Get_count(&status, MPI_BYTE, &bytes) != MPI_SUCCESS)
        return 0;
    *tag = status.MPI_TAG;
    *n = (size_t)bytes;
    return 1;
}

static int take(struct mpi_link *link, int tag, void *bytes, size_t n, char *why, size_t why_bytes)
{
    return mpi_check(
        MPI_Recv(bytes, (int)n, MPI_BYTE, link->rank, tag, link->comm, MPI_STATUS_IGNORE),
        "receiving", why, why_bytes);
}

extern const struct mpi_processes driftline_mpi_processes __attribute__((visibility("default")));
const struct mpi_processes driftline_mpi_processes = {
    MPI_LIBRARY_ABI, begin, end, start, parent, unlink_process, send, mpi_is_sent, is_waiting, take
};
