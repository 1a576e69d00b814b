/* internal.h - functions of experiment.c for config.c. */
#ifndef DRIFTLINE_CONFIG_INTERNAL_H
#define DRIFTLINE_CONFIG_INTERNAL_H

#include "src/config/script/script.h"

void lua_experiment_register(struct script *); /* experiment, option, quick */
/* ERR_CONFIG, with a suggestion, if a --set key was not used. */
int script_check_sets(struct script *, struct error *);

#endif
