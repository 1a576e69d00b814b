/* methods.h - method { ... } in a config, and the values of its options. */
#ifndef DRIFTLINE_CONFIG_METHODS_H
#define DRIFTLINE_CONFIG_METHODS_H

#include "src/config/script/fields.h"
#include "src/config/script/script.h"

#define LUA_METHOD_NAME "driftline.method" /* a userdata with a struct method_spec */
int lua_method(lua_State *);               /* the global `method` */
/* Applies --set METHOD.option and LABEL.option, and marks them used. */
void lua_method_overrides(lua_State *, struct method_spec *);

/* options.c: values of option tables, shared by method and --set. */
enum option_home { HOME_PARAMS = 1, HOME_KNOBS = 2, HOME_EITHER = 3 };
/* The row of an option, and whose it is: the method's, or that of the method which it contains. */
struct lua_option {
    const struct param *row;
    const struct index_ops *ops;
    enum option_home home; /* the table that has it */
};
/* The option in the tables of `homes`, by its name or old name. Raises ERR_CONFIG, with a suggestion, if
   there is none. */
struct lua_option lua_option_find(lua_State *, struct script_place, const struct method_spec *,
                                  enum option_home homes, const char *name);
/* Sets spec->of of a method that contains another, by the value of "of"; NULL: its default. Raises
   ERR_CONFIG if there is no such method. */
void lua_option_contain(lua_State *, struct script_place, struct method_spec *, const char *of);
/* The value, checked for type and range, in the form that the table stores. New reference. */
json_t *lua_option_value(lua_State *, struct script_place, const struct index_ops *,
                         const struct param *, enum option_home, struct param_value);
/* Appends that value to those of a sweep or a grid. Raises ERR_CONFIG if it is there already, or one
   too many. */
void lua_option_append(lua_State *, struct script_place, const struct lua_option *,
                       struct param_value, json_t *values);
/* The Lua value at index; raises ERR_CONFIG unless it is a number, a string or a boolean. */
struct param_value lua_option_at(lua_State *, struct script_place, int index, const char *name);

#endif
