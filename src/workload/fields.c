/* fields.c - the fields of the rows' attributes, their words, and conditions on them as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "src/core/append_text.h"
#include "src/core/mem.h"
#include "src/workload/op.h"

const char *op_field_type_name(enum attribute_type type)
{
    static const char *const names[] = { "integers", "reals", "texts" };

    return names[type];
}

const struct attribute_field *op_list_field(const struct op_list *list, const char *name)
{
    for (size_t f = 0; f < list->n_fields; f++)
        if (strcmp(list->fields[f].name, name) == 0)
            return &list->fields[f];
    return NULL;
}

uint64_t op_word_hash(const char *word)
{
    return XXH3_64bits(word, strlen(word)) >> 1; /* an idmap takes no UINT64_MAX */
}

bool op_field_word(const struct attribute_field *field, const char *word, int64_t *number)
{
    uint64_t at = 0;

    if (!idmap_get(&field->word_of, op_word_hash(word), &at))
        return false;
    /* If two words have one hash, the map has the first. */
    while (at < field->n_words && strcmp(field->words[at], word) != 0)
        at++;
    *number = (int64_t)at;
    return at < field->n_words;
}

void op_fields_free(struct op_list *list)
{
    for (size_t f = 0; f < list->n_fields; f++) {
        struct attribute_field *field = &list->fields[f];

        for (size_t i = 0; i < field->n_words; i++)
            free(field->words[i]);
        mem_free(NULL, field->words);
        free(field->name);
        idmap_free(&field->word_of);
    }
}

bool op_fields_widen(struct op_list *list)
{
    for (size_t at = 0; at < list->n; at++) {
        struct op *op = &list->ops[at];

        if (!op->attributes || op->n_fields == list->n_fields)
            continue;
        const size_t from = op->n_fields, to = list->n_fields;
        int64_t *wide = realloc(op->attributes, (op->n * to + 1) * sizeof *wide);
        if (!wide)
            return false;
        for (size_t i = op->n; i-- > 0;)
            for (size_t f = to; f-- > 0;)
                wide[i * to + f] = f < from ? wide[i * from + f] : INDEX_ATTRIBUTE_NONE;
        op->attributes = wide;
        op->n_fields = to;
    }
    return true;
}

static void add_value(const struct attribute_field *field, int64_t number, char *text, size_t bytes)
{
    if (field->type == FIELD_REAL)
        append_text(text, bytes, "", "%.6g", index_attribute_to_real(number));
    else if (field->type == FIELD_TEXT)
        append_text(text, bytes, "", "%s", field->words[number]);
    else
        append_text(text, bytes, "", "%" PRId64, number);
}

void op_where_text(const struct op_list *list, const struct op *op, char *text, size_t bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < op->n_where; i++) {
        const struct attribute_condition *c = &op->where[i];
        const struct attribute_field *field = &list->fields[c->field];
        const int64_t *values = op->where_values + c->first;

        append_text(text, bytes, ", ", "%s%s", field->name,
                    c->test == INDEX_ATTRIBUTE_NOT_IN    ? c->n ? " not " : " present"
                    : c->test == INDEX_ATTRIBUTE_MISSING ? " missing"
                                                         : " ");
        for (uint64_t v = 0; v < c->n; v++) {
            if (v > 0)
                append_text(text, bytes, "", c->test == INDEX_ATTRIBUTE_RANGE ? " .. " : " | ");
            add_value(field, values[v], text, bytes);
        }
    }
}
