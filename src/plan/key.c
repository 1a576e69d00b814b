/* key.c - the keys of cells; see plan.h.
 *
 * 1 hashing   2 the parts   3 the key   4 differences */
#include "src/plan/plan.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/core/append_text.h"

/* 1. Hashing */

static void hash_text(EVP_MD_CTX *hash, const char *text)
{
    const size_t n = text ? strlen(text) + 1 : 0;
    EVP_DigestUpdate(hash, &n, sizeof n);
    EVP_DigestUpdate(hash, text ? text : "", n);
}

static void hash_array(EVP_MD_CTX *hash, const void *items, size_t bytes)
{
    const size_t n = items ? bytes : SIZE_MAX; /* NULL differs from an empty array */
    EVP_DigestUpdate(hash, &n, sizeof n);
    if (items)
        EVP_DigestUpdate(hash, items, bytes);
}

static void hash_view(EVP_MD_CTX *hash, const struct view *v)
{
    const size_t n = v ? v->n_segments : SIZE_MAX;
    EVP_DigestUpdate(hash, &n, sizeof n);
    for (size_t i = 0; v && i < v->n_segments; i++) {
        const struct segment *s = &v->segments[i];
        const uint64_t shape[3] = { s->source->hash, s->first, s->n };
        EVP_DigestUpdate(hash, shape, sizeof shape);
        hash_array(hash, s->order, s->n * sizeof *s->order);
    }
}

/* OP_FIELDS also declares struct op, so no field can be missing here. Its line and file are where the
   config has it, which a comment above changes. */
static void hash_op(EVP_MD_CTX *hash, const struct op *stated)
{
    struct op anywhere = *stated;
    const struct op *op = &anywhere;

    anywhere.line = 0;
    anywhere.file = NULL;
#define HASH_NUMBER(type, name)                         \
    {                                                   \
        const uint64_t number = (uint64_t)op->name;     \
        EVP_DigestUpdate(hash, &number, sizeof number); \
    }
#define HASH_REAL(name)               EVP_DigestUpdate(hash, &op->name, sizeof op->name);
#define HASH_TEXT(name)               hash_text(hash, op->name);
#define HASH_VIEW(name)               hash_view(hash, op->name);
#define HASH_ARRAY(type, name, count) hash_array(hash, op->name, (count) * sizeof(type));
    OP_FIELDS(HASH_NUMBER, HASH_REAL, HASH_TEXT, HASH_VIEW, HASH_ARRAY)
#undef HASH_NUMBER
#undef HASH_REAL
#undef HASH_TEXT
#undef HASH_VIEW
#undef HASH_ARRAY
}

static EVP_MD_CTX *hash_begin(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1)
        return hash;
    EVP_MD_CTX_free(hash);
    return NULL;
}

/* Frees the hash. Sets hex to "" on failure. */
static void hash_end(EVP_MD_CTX *hash, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    *hex = '\0';
    if (hash && EVP_DigestFinal_ex(hash, digest, &n) == 1)
        for (size_t i = 0; i < 32; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(hash);
}

void plan_op_digest(const struct op *op, char hex[65])
{
    EVP_MD_CTX *hash = hash_begin();
    if (hash)
        hash_op(hash, op);
    hash_end(hash, hex);
}

/* 2. The parts */

static json_t *data_json(const struct op_list *list)
{
    json_t *sets = json_array();
    for (size_t i = 0; i < list->n_datasets; i++)
        json_array_append_new(sets, json_pack("[s, I]", list->datasets[i].sha256,
                                              (json_int_t)list->datasets[i].source->hash));
    return json_pack("[i, i, I, o]", (int)list->metric, (int)list->element, (json_int_t)list->dim,
                     sets);
}

static json_t *method_json(const struct cell *c)
{
    const struct method_spec *m = c->method;
    const struct maintain_policy *p = &m->maintain;
    json_t *points = json_array();
    for (size_t i = 0; i < c->n_points; i++)
        json_array_append_new(points,
                              json_pack("[s, O]", c->points[i].name, c->points[i].knobs_json));
    json_t *maintain =
        json_pack("[s?, s?, b, b, I, f, f, f]", p->tag, p->probe, p->rebuilds, p->leaves_out,
                  (json_int_t)p->every, p->deleted, p->recall, p->sample);
    return json_pack("[s, s, s?, o, I, I, i, I, i, b, f, O, o]", m->name, m->label, m->rebuild,
                     maintain, (json_int_t)c->repeat, (json_int_t)c->seed, (int)m->deletes,
                     (json_int_t)m->overfetch, (int)c->element, m->locked, m->calibrate_recall,
                     c->params_json, points);
}

/* Takes the value. "": out of memory. */
static void digest(json_t *take, char hex[65])
{
    char *text = take ? json_dumps(take, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (!text || sha256_block(text, strlen(text), hex, NULL))
        *hex = '\0';
    free(text);
    json_decref(take);
}

/* Each cell's parts; all but its method are those of all cells. NULL if out of memory. */
static json_t *common_parts(const struct experiment *ex)
{
    char data[65], workload[65], settings[65];
    EVP_MD_CTX *hash = hash_begin();
    for (size_t i = 0; hash && i < ex->ops->n; i++)
        hash_op(hash, &ex->ops->ops[i]);
    hash_end(hash, workload);
    digest(data_json(ex->ops), data);
    digest(json_pack("[b, b, f, f]", ex->warmup, ex->size_hint, ex->timeout_s, ex->min_time_s),
           settings);
    if (!*data || !*workload || !*settings)
        return NULL;
    return json_pack("{s:s, s:s, s:s}", "data", data, "workload", workload, "settings", settings);
}

/* 3. The key */

int plan_key_parts(struct plan *plan, const struct experiment *ex, struct error *err)
{
    json_t *common = common_parts(ex);
    int rc = common ? OK : fail(err, ERR_NO_MEMORY, "cannot compute the cells' keys");
    for (size_t i = 0; !rc && i < plan->n; i++) {
        struct cell *c = &plan->cells[i];
        char method[65];
        digest(method_json(c), method);
        c->key_parts = json_copy(common);
        if (!*method || json_object_set_new(c->key_parts, "method", json_string(method)))
            rc = fail(err, ERR_NO_MEMORY, "cannot compute the cells' keys");
    }
    json_decref(common);
    return rc ? rc : plan_identify(plan, ex, NULL, err);
}

int plan_identify(struct plan *plan, const struct experiment *ex, const struct identity *id,
                  struct error *err)
{
    int rc = OK;
    for (size_t i = 0; !rc && i < plan->n; i++) {
        struct cell *c = &plan->cells[i];
        json_decref(c->identity);
        c->identity =
            id ? identity_of_method(id, c->method->name) : json_pack("{s:{}}", "tunables");
        json_t *tunables = json_object_get(c->identity, "tunables");
        if (json_object_set_new(tunables, "threads", json_integer((json_int_t)ex->threads)) ||
            json_object_set_new(tunables, "memory_limit_bytes",
                                json_integer((json_int_t)ex->memory_limit)))
            return fail(err, ERR_NO_MEMORY, "cannot compute the cells' keys");
        digest(json_pack("[O, O]", c->key_parts, c->identity), c->key);
        rc = *c->key ? OK : fail(err, ERR_NO_MEMORY, "cannot compute the cells' keys");
    }
    return rc;
}

/* 4. Differences */

static void add_values(const char *key, const json_t *was, const json_t *is, char *text,
                       size_t bytes)
{
    char *a = was ? json_dumps(was, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *b = is ? json_dumps(is, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    append_text(text, bytes, ", ", "%s %s -> %s", key, a ? a : "not set", b ? b : "not set");
    free(a);
    free(b);
}

/* Names each key whose value differs or that only one of the objects has. */
static void add_differences(const json_t *was, const json_t *is, bool with_values, char *text,
                            size_t bytes)
{
    json_t *keys = json_object(), *value;
    const char *key;
    json_object_update(keys, (json_t *)(uintptr_t)was);
    json_object_update(keys, (json_t *)(uintptr_t)is);
    json_object_foreach(keys, key, value) {
        const json_t *a = json_object_get(was, key), *b = json_object_get(is, key);
        if (a && b && json_equal(a, b))
            continue;
        if (with_values)
            add_values(key, a, b, text, bytes);
        else
            append_text(text, bytes, ", ", "%s%s", key, !a ? " (new)" : !b ? " (gone)" : "");
    }
    json_decref(keys);
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x && y ? json_equal(x, y) : x == y;
}

void plan_key_difference(const struct cell *c, const json_t *stored, char *text, size_t bytes)
{
    const json_t *was = json_object_get(stored, "identity"), *is = c->identity;
    *text = '\0';
    if (strcmp(field_text(stored, "key", ""), c->key) == 0)
        return;
    if (!json_is_object(was) || !json_is_object(json_object_get(stored, "key_parts"))) {
        append_text(text, bytes, ", ", "stored without saying by what program");
        return;
    }
    if (!same(was, is, "program_sha256"))
        append_text(text, bytes, ", ", "program rebuilt");
    if (!same(was, is, "plugin_sha256"))
        append_text(text, bytes, ", ", "plugin rebuilt");
    add_differences(json_object_get(was, "libraries"), json_object_get(is, "libraries"), false,
                    text, bytes);
    if (!same(was, is, "kernels"))
        append_text(text, bytes, ", ", "kernels %s -> %s", field_text(was, "kernels", "?"),
                    field_text(is, "kernels", "?"));
    if (!same(was, is, "cpu"))
        append_text(text, bytes, ", ", "another processor");
    add_differences(json_object_get(was, "tunables"), json_object_get(is, "tunables"), true, text,
                    bytes);
    json_t *parts = json_copy(json_object_get(stored, "key_parts"));
    const json_t *first = json_array_get(json_object_get(stored, "cells"), 0);
    const json_int_t seed = field_integer(first, "seed", (json_int_t)c->seed);
    if (seed != (json_int_t)c->seed) { /* which is a part of the method's */
        append_text(text, bytes, ", ", "seed %" JSON_INTEGER_FORMAT " -> %" PRIu64, seed, c->seed);
        json_object_set(parts, "method", json_object_get(c->key_parts, "method"));
    }
    add_differences(parts, c->key_parts, false, text, bytes);
    json_decref(parts);
    if (!*text)
        append_text(text, bytes, ", ", "its key");
}
