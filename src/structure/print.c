/* print.c - see print.h. */
#include "src/structure/print.h"

#include <stdint.h>

#include "src/base/json.h"

enum { CHILDREN_SHOWN = 20, ITEMS_SHOWN = 8, INDENT = 2 };

struct printing {
    FILE *out;
    size_t depth; /* the last level that is printed */
    bool all;
};

static void print_value(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        fputs(json_string_value(value), out);
    else if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_number(value))
        fprintf(out, "%.4g", json_number_value(value));
    else
        fputc('-', out);
}

static void print_head(const struct printing *p, const json_t *node, int indent)
{
    const char *name, *between = ": ";
    json_t *value;

    fprintf(p->out, "%*s%s %lld", indent, "", field_text(node, "kind", "?"),
            field_integer(node, "number", 0));
    json_object_foreach(json_object_get(node, "values"), name, value) {
        fprintf(p->out, "%s%s ", between, name);
        print_value(p->out, value);
        between = ", ";
    }
    fputc('\n', p->out);
}

/* The lists of a member of the node, vectors or ids, one a line. */
static void print_lists(const struct printing *p, const json_t *lists, int indent)
{
    const char *name;
    json_t *list;

    json_object_foreach((json_t *)(uintptr_t)lists, name, list) {
        const size_t n = json_array_size(list);
        const size_t shown = p->all || n < ITEMS_SHOWN ? n : ITEMS_SHOWN;

        fprintf(p->out, "%*s%s", indent, "", name);
        for (size_t i = 0; i < shown; i++) {
            fputc(' ', p->out);
            print_value(p->out, json_array_get(list, i));
        }
        if (shown < n)
            fprintf(p->out, " ... %zu more", n - shown);
        fputc('\n', p->out);
    }
}

static void print_node(const struct printing *p, const json_t *node, size_t level)
{
    const json_t *children = json_object_get(node, "children");
    const int indent = INDENT * (int)level;
    const size_t n = json_array_size(children);
    const size_t shown = level >= p->depth ? 0 : p->all || n <= CHILDREN_SHOWN ? n : CHILDREN_SHOWN;
    const long long hidden = field_integer(node, "hidden", 0) + (long long)(n - shown);

    print_head(p, node, indent);
    print_lists(p, json_object_get(node, "vectors"), indent + 2 * INDENT);
    print_lists(p, json_object_get(node, "ids"), indent + 2 * INDENT);
    for (size_t i = 0; i < shown; i++)
        print_node(p, json_array_get(children, i), level + 1);
    if (hidden > 0)
        fprintf(p->out, "%*s... %lld more\n", indent + INDENT, "", hidden);
}

void structure_print(const json_t *node, size_t depth, bool all, FILE *out)
{
    const struct printing p = { out, depth ? depth : SIZE_MAX, all };

    print_node(&p, node, 0);
}
