#define _GNU_SOURCE
#include "src/cluster/mpi/library.h"

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A rank of a communicator's remote group, or of the world. */
struct mpi_link {
    MPI_Comm comm;
    int rank;
};

struct mpi_send {
    MPI_Request request;
};

static int refuse(const char *sentence, char *why, size_t why_bytes)
{
    (void)snprintf(why, why_bytes, "%s", sentence);
    return -1;
}

/* 0 for MPI_SUCCESS; else another value, with a sentence. */
static int check(int rc, const char *doing, char *why, size_t why_bytes)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    if (rc == MPI_SUCCESS)
        return 0;
    (void)MPI_Error_string(rc, text, &n);
    (void)snprintf(why, why_bytes, "MPI: %s: %s", doing, text);
    return -1;
}

/* ---- starting and ending MPI */

/* The environment of the user goes before. Cells are forked: shared memory of MPI in them would look like
   files of theirs. */
static void set_transport(void)
{
    (void)setenv("OMPI_MCA_pml", "ob1", 0);
    (void)setenv("OMPI_MCA_btl", "self,tcp", 0);
}

static int begin_world(int *rank, int *ranks, char *why, size_t why_bytes)
{
    int provided;
    set_transport();
    if (check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "starting", why,
              why_bytes))
        return -1;
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (check(MPI_Comm_rank(MPI_COMM_WORLD, rank), "asking for the rank", why, why_bytes))
        return -1;
    return check(MPI_Comm_size(MPI_COMM_WORLD, ranks), "asking for the ranks", why, why_bytes);
}

/* MPI's daemon, and what it starts, must not inherit the core of a thread that is bound to one. */
static int begin(char *why, size_t why_bytes)
{
    cpu_set_t own, all;
    static bool began;
    int provided, running = 0, ended = 0;
    if (MPI_Finalized(&ended) == MPI_SUCCESS && ended)
        return refuse("MPI: it can be started once in a process (--in-process)", why, why_bytes);
    if (began)
        return 0;
    if (MPI_Initialized(&running) != MPI_SUCCESS || running)
        return refuse("MPI: it was started by mpirun already", why, why_bytes);
    set_transport();
    /* What mpirun would be told by options: a process that dies takes no other with it; more processes than
       cores, and none of them bound to a core. */
    (void)setenv("OMPI_MCA_orte_enable_recovery", "1", 0);
    (void)setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
    (void)setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
    memset(&all, 0xff, sizeof all);
    const int known = sched_getaffinity(0, sizeof own, &own);
    (void)sched_setaffinity(0, sizeof all, &all);
    const int rc = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "starting",
                         why, why_bytes);
    if (known == 0)
        (void)sched_setaffinity(0, sizeof own, &own);
    if (rc)
        return rc;
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    (void)MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    if (provided < MPI_THREAD_SERIALIZED)
        return refuse("MPI: it was built without support for threads", why, why_bytes);
    began = true;
    return 0;
}

static void end(void)
{
    (void)MPI_Finalize();
}

/* ---- links */

static int link_to(MPI_Comm comm, int rank, struct mpi_link **link, char *why, size_t why_bytes)
{
    *link = malloc(sizeof **link);
    if (!*link)
        return refuse("MPI: out of memory for a link", why, why_bytes);
    **link = (struct mpi_link){ comm, rank };
    return 0;
}

static int world(int rank, struct mpi_link **link, char *why, size_t why_bytes)
{
    return link_to(MPI_COMM_WORLD, rank, link, why, why_bytes);
}

static int start(const char *program, const char *argument, struct mpi_link **link, char *why,
                 size_t why_bytes)
{
    char *arguments[] = { (char *)(size_t)argument, NULL };
    MPI_Comm comm;
    if (check(MPI_Comm_spawn(program, arguments, 1, MPI_INFO_NULL, 0, MPI_COMM_SELF, &comm,
                             MPI_ERRCODES_IGNORE),
              "starting processes", why, why_bytes))
        return -1;
    (void)MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    return link_to(comm, 0, link, why, why_bytes);
}

static int parent(struct mpi_link **link, char *why, size_t why_bytes)
{
    MPI_Comm comm = MPI_COMM_NULL;
    if (check(MPI_Comm_get_parent(&comm), "asking for the parent", why, why_bytes))
        return -1;
    if (comm == MPI_COMM_NULL)
        return refuse("no other process has started this one", why, why_bytes);
    (void)MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    return link_to(comm, 0, link, why, why_bytes);
}

/* The communicator stays: to disconnect it, all of its processes would have to be alive. */
static void unlink_process(struct mpi_link *link)
{
    free(link);
}

/* ---- messages */

static int begin_send(struct mpi_link *link, int tag, const void *bytes, size_t n,
                      struct mpi_send **send, char *why, size_t why_bytes)
{
    *send = NULL;
    if (n > INT_MAX) {
        (void)snprintf(why, why_bytes, "MPI: a message of %zu bytes; at most %d are possible", n,
                       INT_MAX);
        return -1;
    }
    struct mpi_send *made = malloc(sizeof *made);
    if (!made)
        return refuse("MPI: out of memory for a message", why, why_bytes);
    if (check(MPI_Isend(bytes, (int)n, MPI_BYTE, link->rank, tag, link->comm, &made->request),
              "sending", why, why_bytes)) {
        free(made);
        return -1;
    }
    *send = made;
    return 0;
}

static int is_sent(struct mpi_send *send)
{
    int done = 0;
    if (MPI_Test(&send->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        return 0;
    free(send);
    return 1;
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
    return check(MPI_Recv(bytes, (int)n, MPI_BYTE, link->rank, tag, link->comm, MPI_STATUS_IGNORE),
                 "receiving", why, why_bytes);
}

extern const struct mpi_library driftline_mpi_library __attribute__((visibility("default")));
const struct mpi_library driftline_mpi_library = {
    MPI_LIBRARY_ABI, begin_world,    begin,      end,     start,      parent,
    world,           unlink_process, begin_send, is_sent, is_waiting, take
};
