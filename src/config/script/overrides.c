/* overrides.c - records which values of a config the command line changed. */
#include <stdarg.h>
#include <stdio.h>

#include "src/base/quote.h"
#include "src/config/script/script.h"

void script_note_change(struct script *s, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(s->experiment->changed, quote_json(text));
}

void script_note_override(struct script *s, struct override *set)
{
    set->used = true;
    json_object_set_new(s->overrides, set->key, json_string(set->value));
}
