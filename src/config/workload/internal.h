/* internal.h - shared by the operations of w: reading their tables. */
#ifndef DRIFTLINE_CONFIG_WORKLOAD_INTERNAL_H
#define DRIFTLINE_CONFIG_WORKLOAD_INTERNAL_H

#include "src/config/script/fields.h"
#include "src/config/script/script.h"

#define WORKLOAD_NAME "driftline.workload"

/* step.c: keys that several operations have. All raise ERR_CONFIG. */

/* The recorder; raises unless the workload function is running. */
struct recorder *lua_recorder(lua_State *);
struct fields lua_open_step(lua_State *, enum lua_call, size_t positions);
/* The same for a table of any keys: w:set. */
struct fields lua_open_settings(lua_State *, enum lua_call);
/* Reads the options that mean the same in each operation; a key that the operation does not have
   keeps its default. lua_step_note: only the tag. */
struct op_options lua_step_options(const struct fields *, enum lua_call);
struct op_options lua_step_note(const struct fields *);
/* Raises the error in script_error(). */
_Noreturn void lua_step_fail(const struct fields *);
/* The view under `key`, or the first item of the list if key is NULL; valid while the table is. */
struct view *lua_step_view(const struct fields *, const char *key);
/* Calls the function under "stream" for its views and joins them; sets the chunks of the options.
   The view and the chunks stay on the stack. */
struct view *lua_step_stream(const struct fields *, struct op_options *);
/* Reads a selection of rows: view | random = n | oldest = n | ids = { ... } */
struct id_selector lua_step_choice(const struct fields *);
/* Reads removes = "oldest" | "random" | view | { ids }, for n rows written. */
struct id_selector lua_step_removes(const struct fields *, size_t n);

/* attributes.c */

/* The field of the short forms attribute = { ... } and where = { low, high }. */
#define ONLY_FIELD "attribute"

/* A value of attributes or where: `sub` is the table that was on top, `f` the operation's. */
struct field_table {
    const struct fields *f;
    struct fields sub;
    const char *name;
};
struct field_table lua_field_open(const struct fields *, const char *name);
/* Raises: the value on top is not of the field's type. */
_Noreturn void lua_field_wrong(const struct field_table *, enum attribute_type);
/* The number of the value on top, an integer or a real. */
int64_t lua_field_number(const struct field_table *, enum attribute_type);
/* Reads attribute or attributes: one spec per field; what they refer to stays on the stack. *n = 0:
   none. */
const struct attribute_spec *lua_step_attributes(const struct fields *, size_t *n);

/* where.c: reads where into the options, if it is given. The conditions stay on the stack. */
void lua_step_where(const struct fields *, struct op_options *);

/* set.c */
int lua_w_set(lua_State *);

/* mix.c: reads the options of w:mix; what they refer to stays on the stack. */
void lua_step_mix(const struct fields *, struct op_options *);

/* runbook.c */
int lua_w_runbook(lua_State *);

#endif
