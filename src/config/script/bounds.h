/* bounds.h - limits of a config's Lua: memory, instructions, processor time. */
#ifndef DRIFTLINE_CONFIG_BOUNDS_H
#define DRIFTLINE_CONFIG_BOUNDS_H

#include "src/config/script/script.h"

void script_bounds_init(struct script *);
void *script_allocate(void *script, void *block, size_t old_bytes, size_t bytes);
/* Sets err for LUA_ERRMEM: a string too long, or the memory limit passed. */
int script_fail_memory(const struct script *, const char *file, int line, struct error *);
/* Restarts the budget of work and time, before each call into Lua. */
void script_budget(struct script *);
/* ERR_CONFIG past a limit, ERR_INTERRUPTED after Ctrl-C. Long loops in C call it. */
int script_check(struct script *, struct error *);
/* Adds work that the instruction hook does not count; raises the error of script_check(). */
void script_charge(lua_State *, double work);
/* Processor time between the two calls does not count: opening data takes long. */
uint64_t script_stop_clock(void);
void script_start_clock(struct script *, uint64_t stopped_ns);

#endif
