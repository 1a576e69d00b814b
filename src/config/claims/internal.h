/* internal.h - checks of names for claims, figures and comparisons. */
#ifndef DRIFTLINE_CONFIG_CLAIMS_INTERNAL_H
#define DRIFTLINE_CONFIG_CLAIMS_INTERNAL_H

#include "src/config/claims/claims.h"

enum { NAMES_MAX = 600 };

/* The number of the method whose label this is, with or without a point; n_methods: there is none.
   */
size_t lua_method_of(const struct experiment *, const char *label);
bool lua_is_one_of(const char *name, const char *const *names, size_t n);
/* Fills names with those of all result metrics, at most NAMES_MAX; returns their number. The
   names are static. */
size_t lua_result_metrics(const char **names);
bool lua_is_metric(const char *name);
/* Raise ERR_CONFIG unless label is LABEL or LABEL[point] of a method, and metric METRIC or
   METRIC/TAG with a known METRIC. `what` opens the message. */
void lua_check_label(lua_State *, struct script_place, const char *what, const char *label);
void lua_check_metric(lua_State *, struct script_place, const char *what, const char *metric);
/* Raises ERR_CONFIG unless the tag of METRIC/TAG or METRIC/TAG#i is one of the recorded workload. */
void lua_check_tag(lua_State *, struct script_place, const char *what, const char *metric);

/* figures.c: an array of the strings of a key, which has one or a list of them. Lasts as long as the
   config. Raises `"KEY" must be SHAPE` for another value. */
json_t *lua_strings(const struct fields *, const char *key, const char *shape);

/* ratio.c: r.ratio(label, label, tag). Records the ratio in the JSON object that is its upvalue. */
int lua_ask_ratio(lua_State *);

#endif
