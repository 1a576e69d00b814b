#include "src/cluster/mpi/library.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/cluster/mpi/internal.h"

struct mpi_send {
    MPI_Request request;
};

int mpi_check(int rc, const char *doing, char *why, size_t why_bytes)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    if (rc == MPI_SUCCESS)
        return 0;
    (void)MPI_Error_string(rc, text, &n);
    (void)snprintf(why, why_bytes, "MPI: %s: %s", doing, text);
    return -1;
}

static int begin(int *rank, int *ranks, char *why, size_t why_bytes)
{
    int provided;
    /* Cells are forked: shared memory of MPI in them would look like files of theirs. */
    (void)setenv("OMPI_MCA_pml", "ob1", 0);
    (void)setenv("OMPI_MCA_btl", "self,tcp", 0);
    if (mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), "starting", why,
                  why_bytes))
        return -1;
    (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (mpi_check(MPI_Comm_rank(MPI_COMM_WORLD, rank), "asking for the rank", why, why_bytes))
        return -1;
    return mpi_check(MPI_Comm_size(MPI_COMM_WORLD, ranks), "asking for the ranks", why, why_bytes);
}

static void end(void)
{
    (void)MPI_Finalize();
}

int mpi_send_to(MPI_Comm comm, int to, int tag, const void *bytes, size_t n, struct mpi_send **send,
                char *why, size_t why_bytes)
{
    *send = NULL;
    if (n > INT_MAX) {
        (void)snprintf(why, why_bytes, "MPI: a message of %zu bytes; at most %d are possible", n,
                       INT_MAX);
        return -1;
    }
    struct mpi_send *made = malloc(sizeof *made);
    if (!made) {
        (void)snprintf(why, why_bytes, "MPI: out of memory for a message");
        return -1;
    }
    if (mpi_check(MPI_Isend(bytes, (int)n, MPI_BYTE, to, tag, comm, &made->request), "sending", why,
                  why_bytes)) {
        free(made);
        return -1;
    }
    *send = made;
    return 0;
}

int mpi_is_sent(struct mpi_send *send)
{
    int done = 0;
    if (MPI_Test(&send->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        return 0;
    free(send);
    return 1;
}

static int begin_send(int to, int tag, const void *bytes, size_t n, struct mpi_send **send,
                      char *why, size_t why_bytes)
{
    return mpi_send_to(MPI_COMM_WORLD, to, tag, bytes, n, send, why, why_bytes);
}

static int is_waiting(int *from, int *tag, size_t *n)
{
    MPI_Status status;
    int found = 0, bytes = 0;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, &status) != MPI_SUCCESS ||
        !found || MPI_Get_count(&status, MPI_BYTE, &bytes) != MPI_SUCCESS)
        return 0;
    *from = status.MPI_SOURCE;
    *tag = status.MPI_TAG;
    *n = (size_t)bytes;
    return 1;
}

static int take(int from, int tag, void *bytes, size_t n, char *why, size_t why_bytes)
{
    return mpi_check(
        MPI_Recv(bytes, (int)n, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE),
        "receiving", why, why_bytes);
}

extern const struct mpi_library driftline_mpi_library __attribute__((visibility("default")));
const struct mpi_library driftline_mpi_library = { MPI_LIBRARY_ABI, begin,      end, begin_send,
                                                   mpi_is_sent,     is_waiting, take };
