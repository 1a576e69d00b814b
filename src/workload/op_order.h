/* op_order.h - the order in which the operations of a mix began, across its threads, as a text file: to
 * be replayed by other methods and other versions.
 *
 *     { "tag": "load", "threads": 2, "operations": 3 }
 *     0 0 0 search 17
 *     1260 1 1 insert 4
 *     20310 0 2 delete 305
 *
 * A file has a part for each mix that was recorded: a line of JSON, then one line for each operation
 * that began, in that order. Its numbers are nanoseconds from the start of the step, the thread in whose
 * sequence it is, and the number of the operation (op_sequence.h); after its kind comes the position of the query, the row
 * of `rows`, or the id that is deleted. A change begins when no other one runs. */
#ifndef DRIFTLINE_WORKLOAD_OP_ORDER_H
#define DRIFTLINE_WORKLOAD_OP_ORDER_H

#include "src/workload/op_sequence.h"

struct op_begun {
    uint64_t ns, which; /* which: query, row or id, as in the file */
    size_t number;
    enum mix_kind kind;
};

struct op_order {
    size_t threads, n, line; /* line: of the file, of the first operation */
    struct op_begun *begun;  /* n, in order */
};

/* What stands for the operation in the file. QUERY_LATEST: p->query has to be set. */
uint64_t op_order_which(const struct op *, const struct op_planned *);
/* Appends a part to the file. ERR_IO. */
int op_order_write(const char *path, const struct op *, const struct op_begun *, size_t n,
                   struct error *);
/* Reads part number `part`, from 0, of those with the tag. ERR_CORRUPT, with "path:line: ..."; ERR_NOT_FOUND;
   ERR_IO; ERR_NO_MEMORY. Freed with op_order_free(), also after an error. */
int op_order_read(const char *path, const char *tag, size_t part, struct op_order *,
                  struct error *);
void op_order_free(struct op_order *);
/* Sets (*planned)[i] to the operation that op->order[i] names; its number is SIZE_MAX if the mix has no
   such operation, or if it stands there before. Freed with mem_free(), also after an error.
   ERR_NO_MEMORY. */
int op_order_plan(const struct op *, struct op_planned **planned, struct error *);
/* Sets op->order. ERR_CONFIG: the operations are not those of this mix. path: for messages. */
int op_order_take(struct op *, const struct op_order *, const char *path, struct error *);

#endif
