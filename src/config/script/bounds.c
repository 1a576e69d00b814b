/* bounds.c - limits of a config's Lua: memory, instructions, processor time.
 *
 * 1 memory   2 work and time
 *
 * A config cannot catch the error of a passed limit: from then on each instruction raises it
 * again, so each pcall ends. Limits are checked between instructions, so a single instruction must
 * be short. Lua compares, converts and measures a string in one instruction, so the length of
 * strings is limited.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/clock.h"
#include "src/config/script/script.h"

enum {
    HOOK_STEP = 100,
    BYTES_PER_STEP = 8,
    STRING_BYTES_MAX = 1 << 20,
    STRING_HEADER_BYTES = 64,         /* an upper bound of Lua's header of a string */
    CLOCK_INTERVAL_NS = 20 * 1000000, /* between readings of the processor time */
};

#define WORK_LIMIT    UINT64_C(2000000000)
#define MEMORY_LIMIT  ((size_t)256 << 20)
#define SECONDS_LIMIT 60.0

void script_bounds_init(struct script *s)
{
    const struct run_options *o = s->options;
    s->limit_bytes = o->script_bytes ? o->script_bytes : MEMORY_LIMIT;
    s->work_limit = o->script_instructions ? o->script_instructions : WORK_LIMIT;
    s->seconds_limit = o->script_seconds > 0 ? o->script_seconds : SECONDS_LIMIT;
}

/* 1. Memory */

/* Before this call fails, Lua collects all garbage; the hook does not count that work. */
static void *refuse(struct script *s, bool string)
{
    s->string_refused = string;
    s->work += s->used_bytes / BYTES_PER_STEP;
    if (s->L)
        s->last = script_place(s->L);
    return NULL;
}

void *script_allocate(void *context, void *block, size_t old_bytes, size_t bytes)
{
    struct script *s = context;
    const bool string = !block && old_bytes == LUA_TSTRING;
    if (!block)
        old_bytes = 0; /* Lua passes the type of the new object instead */
    if (!bytes) {
        free(block);
        s->used_bytes -= old_bytes;
        return NULL;
    }
    if (string && bytes > STRING_BYTES_MAX + STRING_HEADER_BYTES)
        return refuse(s, true);
    if (bytes > old_bytes && bytes - old_bytes > s->limit_bytes - s->used_bytes)
        return refuse(s, false);
    void *p = realloc(block, bytes);
    if (!p)
        return bytes <= old_bytes ? block : NULL;
    s->used_bytes += bytes - old_bytes;
    s->allocated_bytes += bytes;
    return p;
}

int script_fail_memory(const struct script *s, struct script_place at, struct error *err)
{
    if (s->string_refused)
        return fail(err, ERR_CONFIG, "%s:%d: a string is longer than %d KiB", at.file, at.line,
                    STRING_BYTES_MAX >> 10);
    return fail(err, ERR_CONFIG, "%s:%d: the config's tables and strings take more than %zu MiB",
                at.file, at.line, s->limit_bytes >> 20);
}

/* 2. Work and time */

/* Reading the processor time takes a system call, so the coarse clock is read first. */
static bool past_time(struct script *s)
{
    const uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC_COARSE);
    if (now_ns - s->clock_read_ns < CLOCK_INTERVAL_NS)
        return false;
    s->clock_read_ns = now_ns;
    const uint64_t used_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - s->cpu_began_ns;
    return (double)used_ns * 1e-9 > s->seconds_limit;
}

static enum script_bound passed_bound(struct script *s)
{
    const struct run_options *o = s->options;
    if (s->passed)
        return s->passed;
    if (o->interrupted && *o->interrupted && s->phase != PHASE_DONE)
        return BOUND_INTERRUPTED;
    if (s->work + s->allocated_bytes / BYTES_PER_STEP > s->work_limit)
        return BOUND_WORK;
    return past_time(s) ? BOUND_TIME : BOUND_NONE;
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    script_charge(L, HOOK_STEP);
}

int script_check(struct script *s, struct error *err)
{
    s->passed = passed_bound(s);
    switch (s->passed) {
        case BOUND_INTERRUPTED: return fail(err, ERR_INTERRUPTED, "interrupted");
        case BOUND_TIME:
            return fail(err, ERR_CONFIG,
                        "the config took more than %g s of processor time, without opening data; "
                        "an endless loop?",
                        s->seconds_limit);
        case BOUND_WORK:
            return fail(err, ERR_CONFIG,
                        "the config ran more than %" PRIu64 " instructions; an endless loop?",
                        s->work_limit);
        default: return OK;
    }
}

void script_charge(lua_State *L, double work)
{
    struct script *s = script_of(L);
    struct error err = { 0 };
    s->work += work < 1e18 ? (uint64_t)work : (uint64_t)1e18;
    if (!script_check(s, &err))
        return;
    lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
    script_fail(L, err.code, "%s", err.text);
}

void script_budget(struct script *s)
{
    s->work = s->allocated_bytes = 0;
    s->passed = BOUND_NONE;
    s->string_refused = false;
    s->clock_read_ns = 0;
    s->cpu_began_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    lua_sethook(s->L, count_hook, LUA_MASKCOUNT, HOOK_STEP);
}

uint64_t script_stop_clock(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

void script_start_clock(struct script *s, uint64_t stopped_ns)
{
    s->cpu_began_ns += clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - stopped_ns;
}
