/* json.c - see json.h. */
#include "src/structure/json.h"

#include <string.h>

#include "src/base/json.h"

static json_t *member(json_t *node, const char *name, json_t *made_taken)
{
    json_t *found = json_object_get(node, name);

    if (found) {
        json_decref(made_taken);
        return found;
    }
    (void)json_object_set_new(node, name, made_taken);
    return json_object_get(node, name);
}

static json_t *now(const struct structure_json *s)
{
    return s->open[s->level - 1];
}

static bool enter(void *to, const char *kind, uint64_t number)
{
    struct structure_json *s = to;

    if (s->level > s->depth) {
        (void)json_object_set_new(now(s), "hidden",
                                  json_integer(field_integer(now(s), "hidden", 0) + 1));
        return false;
    }
    json_t *node = json_pack("{s:s, s:I}", "kind", kind, "number", (json_int_t)number);
    if (s->level > 0)
        (void)json_array_append_new(member(now(s), "children", json_array()), node);
    else
        s->root = node;
    s->open[s->level++] = node;
    return true;
}

static void leave(void *to)
{
    struct structure_json *s = to;

    s->level--;
}

static void number(void *to, const char *name, double value)
{
    (void)json_object_set_new(member(now(to), "values", json_object()), name, json_number(value));
}

static void text(void *to, const char *name, const char *value)
{
    (void)json_object_set_new(member(now(to), "values", json_object()), name, json_string(value));
}

static void vector(void *to, const char *name, const float *components, size_t dim)
{
    json_t *list = json_array();

    for (size_t i = 0; i < dim; i++)
        (void)json_array_append_new(list, json_number((double)components[i]));
    (void)json_object_set_new(member(now(to), "vectors", json_object()), name, list);
}

static void ids(void *to, const char *name, const uint64_t *values, size_t n)
{
    const struct structure_json *s = to;

    if (!s->with_ids)
        return;
    json_t *list = member(member(now(s), "ids", json_object()), name, json_array());
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_integer((json_int_t)values[i]));
}

void structure_json_begin(struct structure_json *s, size_t depth, bool with_ids)
{
    *s = (struct structure_json){
        .depth = depth > 0 && depth < STRUCTURE_LEVELS ? depth : STRUCTURE_LEVELS - 1,
        .with_ids = with_ids,
    };
}

struct structure_sink structure_json_sink(struct structure_json *s)
{
    return (struct structure_sink){ .enter = enter,
                                    .leave = leave,
                                    .number = number,
                                    .text = text,
                                    .vector = vector,
                                    .ids = ids,
                                    .to = s };
}

const json_t *structure_json_find(const json_t *root, const char *kind, long long number)
{
    size_t i;
    const json_t *child, *found = NULL;

    if (strcmp(field_text(root, "kind", ""), kind) == 0 &&
        field_integer(root, "number", -1) == number)
        return root;
    json_array_foreach(json_object_get(root, "children"), i, child) {
        found = structure_json_find(child, kind, number);
        if (found)
            break;
    }
    return found;
}
