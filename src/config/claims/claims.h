/* claims.h - the keys paper, claims, figures and compare of experiment { ... }. */
#ifndef DRIFTLINE_CONFIG_CLAIMS_H
#define DRIFTLINE_CONFIG_CLAIMS_H

#include "src/config/script/fields.h"
#include "src/config/script/script.h"

/* Each reads the key of its name from the table of experiment { ... } into the script's experiment.
   They raise ERR_CONFIG. */
void lua_paper_read(lua_State *, const struct fields *experiment);
void lua_claims_read(lua_State *, const struct fields *experiment);
void lua_figures_read(lua_State *, const struct fields *experiment);
void lua_compare_read(lua_State *, const struct fields *experiment);
/* Checks that the tags in methods, compare, paper and figures occur in the workload, which must be
   recorded. ERR_CONFIG names the line of the config. */
int script_check_names(struct script *, struct error *);
/* Checks the labels, metrics and tags that claims ask for: calls their functions, in a child process,
   with a result that has the value 1 for each that exists. ERR_CONFIG names the line. */
int script_check_claims(struct script *, struct error *);

#endif
