/* cells.c - cells: the rows of one address in one leaf. Lists of rows, lists of cells, chains of an
   address's cells. */
#include "algorithms/asteria/tree/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

int asteria_bec_reserve_cells(struct asteria_bec *b, size_t n)
{
    if (!mem_grow(b->env.mem, &b->cells, &b->cells_capacity, b->state.cells_used + n,
                  sizeof *b->cells) ||
        !idmap_reserve(&b->of_address, b->state.cells_used + n))
        return fail(b->env.error, ERR_NO_MEMORY, "asteria: clusters: out of memory for %zu cells",
                    b->state.cells_used + n);
    return OK;
}

static uint32_t chain_of(const struct asteria_bec *b, uint32_t address)
{
    uint64_t first;

    return idmap_get(&b->of_address, address, &first) ? (uint32_t)first : BEC_NONE;
}

uint32_t asteria_bec_cell_find(const struct asteria_bec *b, uint32_t leaf, uint32_t address)
{
    uint32_t cell = chain_of(b, address);

    while (cell != BEC_NONE && b->cells[cell].leaf != leaf)
        cell = b->cells[cell].same;
    return cell;
}

static void join_leaf(struct asteria_bec *b, uint32_t cell, uint32_t leaf)
{
    struct asteria_bec_node *node = &b->nodes[leaf];

    b->cells[cell].leaf = leaf;
    b->cells[cell].prev = BEC_NONE;
    b->cells[cell].next = node->cells;
    if (node->cells != BEC_NONE)
        b->cells[node->cells].prev = cell;
    node->cells = cell;
    node->n_cells++;
}

static void quit_leaf(struct asteria_bec *b, uint32_t cell)
{
    const struct asteria_bec_cell *c = &b->cells[cell];
    struct asteria_bec_node *node = &b->nodes[c->leaf];

    if (c->prev == BEC_NONE)
        node->cells = c->next;
    else
        b->cells[c->prev].next = c->next;
    if (c->next != BEC_NONE)
        b->cells[c->next].prev = c->prev;
    node->n_cells--;
}

static uint32_t cell_new(struct asteria_bec *b, uint32_t leaf, uint32_t address)
{
    uint32_t cell = b->state.free_cell;

    if (cell == BEC_NONE)
        cell = (uint32_t)b->state.n_cells++;
    else
        b->state.free_cell = b->cells[cell].next;
    b->cells[cell] = (struct asteria_bec_cell){ .address = address,
                                                .first = BEC_NONE,
                                                .same = chain_of(b, address) };
    (void)idmap_put(&b->of_address, address, cell); /* reserved */
    b->state.cells_used++;
    join_leaf(b, cell, leaf);
    return cell;
}

static void cell_free(struct asteria_bec *b, uint32_t cell)
{
    struct asteria_bec_cell *c = &b->cells[cell];
    const uint32_t first = chain_of(b, c->address);

    quit_leaf(b, cell);
    if (first == cell && c->same == BEC_NONE)
        (void)idmap_remove(&b->of_address, c->address, NULL);
    else if (first == cell)
        (void)idmap_put(&b->of_address, c->address, c->same);
    else {
        uint32_t before = first;
        while (b->cells[before].same != cell)
            before = b->cells[before].same;
        b->cells[before].same = c->same;
    }
    *c = (struct asteria_bec_cell){ .leaf = BEC_NONE,
                                    .first = BEC_NONE,
                                    .next = b->state.free_cell };
    b->state.free_cell = cell;
    b->state.cells_used--;
}

static void push_row(struct asteria_bec *b, uint32_t slot, uint32_t cell)
{
    struct asteria_bec_cell *c = &b->cells[cell];

    b->rows[slot] = (struct asteria_bec_row){ .cell = cell, .next = c->first, .prev = BEC_NONE };
    if (c->first != BEC_NONE)
        b->rows[c->first].prev = slot;
    c->first = slot;
    c->n++;
}

void asteria_bec_link(struct asteria_bec *b, uint32_t slot, uint32_t leaf, uint32_t address)
{
    const uint32_t cell = asteria_bec_cell_find(b, leaf, address);

    push_row(b, slot, cell == BEC_NONE ? cell_new(b, leaf, address) : cell);
}

void asteria_bec_unlink(struct asteria_bec *b, uint32_t slot)
{
    const struct asteria_bec_row row = b->rows[slot];
    struct asteria_bec_cell *c = &b->cells[row.cell];

    if (row.prev == BEC_NONE)
        c->first = row.next;
    else
        b->rows[row.prev].next = row.next;
    if (row.next != BEC_NONE)
        b->rows[row.next].prev = row.prev;
    b->rows[slot].cell = BEC_NONE;
    if (--c->n == 0)
        cell_free(b, row.cell);
}

void asteria_bec_cell_move(struct asteria_bec *b, uint32_t cell, uint32_t to)
{
    quit_leaf(b, cell);
    join_leaf(b, cell, to);
}

void asteria_bec_cells_move(struct asteria_bec *b, uint32_t from, uint32_t to)
{
    for (uint32_t cell = b->nodes[from].cells; cell != BEC_NONE; cell = b->nodes[from].cells) {
        const uint32_t there = asteria_bec_cell_find(b, to, b->cells[cell].address);
        if (there == BEC_NONE) {
            asteria_bec_cell_move(b, cell, to);
            continue;
        }
        for (uint32_t slot = b->cells[cell].first; slot != BEC_NONE;) {
            const uint32_t next = b->rows[slot].next;
            push_row(b, slot, there);
            slot = next;
        }
        cell_free(b, cell);
    }
}

bool asteria_bec_next_row(const struct asteria_bec *b, uint32_t leaf, uint32_t *cell,
                          uint32_t *slot)
{
    if (*cell == BEC_NONE) {
        *cell = b->nodes[leaf].cells;
        *slot = *cell == BEC_NONE ? BEC_NONE : b->cells[*cell].first;
        return *slot != BEC_NONE;
    }
    *slot = b->rows[*slot].next;
    if (*slot == BEC_NONE) {
        *cell = b->cells[*cell].next;
        *slot = *cell == BEC_NONE ? BEC_NONE : b->cells[*cell].first;
    }
    return *slot != BEC_NONE;
}
