/* workload.h - the object w, the argument of a config's workload function. */
#ifndef DRIFTLINE_CONFIG_WORKLOAD_H
#define DRIFTLINE_CONFIG_WORKLOAD_H

#include "src/config/script/script.h"

void lua_workload_register(lua_State *);
void lua_workload_push(lua_State *);

#endif
