/* file.c - a rotation's section of a snapshot: the head, the shift, then angles and signs or
   the matrix. */
#include "algorithms/asteria/rotation/rotation.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/rotation/bor.h"
#include "algorithms/common/durable/store_file.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* 64 bytes, so that the floats after it are as aligned as the section. */
struct rotation_head {
    uint32_t kind, passes;
    uint64_t dim, out_dim;
    uint64_t unused[5];
};

void asteria_rotation_write(const struct asteria_rotation *t, struct store_writer *w, char suffix)
{
    const struct rotation_head head = { .kind = (uint32_t)t->kind,
                                        .passes = t->bor ? (uint32_t)t->bor->passes : 0,
                                        .dim = t->dim,
                                        .out_dim = t->out_dim };
    store_section(w, store_tag("turn", suffix).text);
    store_write(w, &head, sizeof head);
    store_write(w, t->shift, t->out_dim * sizeof *t->shift);
    if (t->bor) {
        store_write(w, t->bor->angles, asteria_bor_n_angles(t->bor) * sizeof *t->bor->angles);
        store_write(w, t->bor->signs, t->bor->passes * t->bor->size * sizeof *t->bor->signs);
    }
    if (t->matrix)
        store_write(w, t->matrix, t->out_dim * t->dim * sizeof *t->matrix);
}

static bool has_network(const struct rotation_head *head)
{
    return head->kind == ROTATION_BOR || head->kind == ROTATION_HADAMARD;
}

/* Checks the head's numbers before anything is allocated. */
static bool head_possible(const struct rotation_head *head, const struct index_env *env)
{
    if (head->kind > ROTATION_OPQ || head->dim != env->dim || head->dim > ASTERIA_ROTATION_DIM_MAX)
        return false;
    if (!has_network(head))
        return head->passes == 0 && head->out_dim == (head->dim + 15) / 16 * 16;
    return head->passes >= 1 && head->passes <= BOR_PASSES_MAX &&
           head->out_dim == asteria_bor_size(head->dim);
}

/* Number of floats after the head. */
static size_t n_floats(const struct rotation_head *head)
{
    const size_t out = head->out_dim;
    size_t stages = 0;
    if (head->kind == ROTATION_IDENTITY)
        return out;
    if (!has_network(head))
        return out + out * head->dim;
    while ((size_t)1 << stages < out)
        stages++;
    return out + head->passes * (stages * (out / 2) + out);
}

/* floats: angles, then signs. */
static int read_network(struct asteria_rotation *t, const struct index_env *env, size_t passes,
                        const float *floats, const struct store_reader *r)
{
    const int rc = asteria_bor_create(&t->bor, env, t->dim, passes, BOR_HADAMARD, 0);
    if (rc != OK)
        return rc;
    const float *signs = floats + asteria_bor_n_angles(t->bor);
    for (size_t i = 0; i < passes * t->bor->size; i++)
        if (fabsf(t->bor->signs[i] = signs[i]) != 1)
            return store_corrupt(r, "a rotation's sign is neither 1 nor -1");
    asteria_bor_set_angles(t->bor, floats);
    return OK;
}

int asteria_rotation_read(struct asteria_rotation **rotation, const struct index_env *env,
                          const struct store_reader *r, char suffix)
{
    const void *section;
    size_t bytes;
    struct rotation_head head;
    int rc = store_need(r, store_tag("turn", suffix).text, SIZE_MAX, &section, &bytes);
    if (rc != OK)
        return rc;
    if (bytes < sizeof head)
        return store_corrupt(r, "a rotation's section is too short");
    memcpy(&head, section, sizeof head);
    if (!head_possible(&head, env))
        return store_corrupt(r, "a rotation's shape is not possible");
    const float *shift = (const float *)((const unsigned char *)section + sizeof head);
    const float *rest = shift + head.out_dim;
    if (bytes != sizeof head + n_floats(&head) * sizeof *shift)
        return store_corrupt(r, "a rotation's section does not have its shape's length");
    if (!index_all_finite(shift, n_floats(&head)))
        return store_corrupt(r, "a rotation has a number that is not finite");
    struct asteria_rotation *t = mem_zalloc(env->mem, sizeof *t);
    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a rotation");
    const bool dense = !has_network(&head) && head.kind != ROTATION_IDENTITY;
    *t = (struct asteria_rotation){ .kind = (enum asteria_rotation_kind)head.kind,
                                    .dim = head.dim,
                                    .out_dim = head.out_dim };
    t->shift = mem_array(env->mem, t->out_dim, sizeof *t->shift);
    t->matrix = dense ? mem_array(env->mem, t->out_dim * t->dim, sizeof *t->matrix) : NULL;
    if (!t->shift || (dense && !t->matrix))
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for a rotation");
    else if (has_network(&head))
        rc = read_network(t, env, head.passes, rest, r);
    if (rc != OK) {
        asteria_rotation_destroy(env, t);
        return rc;
    }
    memcpy(t->shift, shift, t->out_dim * sizeof *shift);
    if (dense)
        memcpy(t->matrix, rest, t->out_dim * t->dim * sizeof *rest);
    *rotation = t;
    return OK;
}
