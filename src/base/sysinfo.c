/* sysinfo.c - the machine and the build, read from /proc, /sys and the libraries themselves. */
#define _GNU_SOURCE
#include "src/base/sysinfo.h"
#include "src/core/order.h"

#include <cblas.h>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "build_info.h"
#include "kernels/kernels.h"
#include "src/base/process.h"
#include "src/base/quote.h"
#include "src/core/mem.h"
#include "src/core/stamp/stamp.h"

/* ---- variables that change the speed of libraries, which may read them before main() runs. The launcher
   has the same list of names. */

extern char **environ;

static const char *const families[] = { "OPENBLAS_", "GOTO_", "BLIS_",   "MKL_",      "OMP_",
                                        "GOMP_",     "KMP_",  "MALLOC_", "TCMALLOC_", NULL },
                         *const singles[] = { "LD_PRELOAD=", "LD_AUDIT=", "LD_PROFILE=",
                                              "LD_HWCAP_MASK=", NULL };

static bool begins_like(const char *entry, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(entry, *names, strlen(*names)) == 0)
            return true;
    return false;
}

/* A new array of the "NAME=value" entries that the launcher removed. The launcher lists them in the
   variable DRIFTLINE_NEUTRALISED. */
static json_t *variables_removed(void)
{
    json_t *removed = json_array();
    const char *removed_by_launcher = getenv("DRIFTLINE_NEUTRALISED");
    char *copy = removed_by_launcher ? strdup(removed_by_launcher) : NULL, *rest = NULL;

    for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        (void)json_array_append_new(removed, quote_json(line));
    free(copy);
    return removed;
}

/* A new array of the "NAME=value" entries that are still set, sorted by name. GLIBC_TUNABLES and
   OPENBLAS_CORETYPE are not included, because the launcher sets them. */
static json_t *variables_set(void)
{
    enum { MOST = 100 };
    const char *found[MOST];
    json_t *set = json_array();
    size_t n = 0;

    for (char **entry = environ; entry && *entry && n < MOST; entry++)
        if ((begins_like(*entry, families) || begins_like(*entry, singles)) &&
            strncmp(*entry, "OPENBLAS_CORETYPE=", 18) != 0)
            found[n++] = *entry;
    qsort(found, n, sizeof *found, order_text);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(set, quote_json(found[i]));
    return set;
}

/* ---- small files */

/* Reads the first line of a file without its newline; false if it is missing or empty. */
static bool first_line(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "r");
    const bool got = file && fgets(text, (int)bytes, file);

    if (file)
        (void)fclose(file);
    if (got)
        text[strcspn(text, "\n")] = '\0';
    return got && text[0];
}

/* A new string with the text after the colon of the first line that begins with `name`, or JSON
   null. */
static json_t *cpuinfo(const char *name)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[8192];
    json_t *value = NULL;

    while (file && !value && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');

        if (!colon || strncmp(line, name, strlen(name)) != 0)
            continue;
        for (colon++; *colon == ' ' || *colon == '\t';)
            colon++;
        colon[strcspn(colon, "\n")] = '\0';
        value = quote_json(colon);
    }
    if (file)
        (void)fclose(file);
    return value ? value : json_null();
}

static json_t *line_json(const char *path)
{
    char text[512];

    return first_line(path, text, sizeof text) ? quote_json(text) : json_null();
}

/* ---- the processor */

static json_t *caches_json(void)
{
    static const char *const files[3] = { "level", "type", "size" };
    json_t *caches = json_array();

    for (int i = 0; i < 8; i++) {
        char path[128], text[3][32];

        for (int f = 0; f < 3; f++) {
            (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i,
                           files[f]);
            if (!first_line(path, text[f], sizeof text[f]))
                return caches;
        }
        (void)json_array_append_new(caches, json_pack("{s:i, s:s, s:s}", "level", atoi(text[0]),
                                                      "type", text[1], "size", text[2]));
    }
    return caches;
}

json_t *sysinfo_cpu_model(void)
{
    return cpuinfo("model name");
}

static json_t *cpu_json(const char *governor)
{
    return json_pack("{s:o, s:o, s:o, s:i, s:s, s:o, s:o}", "model", sysinfo_cpu_model(), "flags",
                     cpuinfo("flags"), "microcode", cpuinfo("microcode"), "online",
                     (int)sysconf(_SC_NPROCESSORS_ONLN), "governor", governor, "caches",
                     caches_json(), "transparent_hugepages",
                     line_json("/sys/kernel/mm/transparent_hugepage/enabled"));
}

static json_t *kernel_json(void)
{
    struct utsname u;

    if (uname(&u) != 0)
        return json_null();
    return json_pack("{s:s, s:s, s:s}", "release", u.release, "version", u.version, "machine",
                     u.machine);
}

/* ---- the build */

/* True if git reports changed or new files in the folders that the program reads at run time. The
   build has already checked the source files. False without git and outside a checkout. */
static bool inputs_changed(const char *root)
{
    const char *const argv[] = {
        "git",    "--no-optional-locks", "-c", "safe.directory=*", "-C",       root ? root : ".",
        "status", "--porcelain",         "--", "configs",          "datasets", NULL
    };
    struct process git = { .argv = argv, .without_stderr = true };
    struct error unknown = { 0 };

    return process_run(&git, &unknown) == OK && git.output[0];
}

static json_t *build_json(const char *root)
{
    json_t *peers = json_array(), *missing = json_array();

#define ADD_BASELINE(name, version, compiler, flags, simd)                                  \
    (void)json_array_append_new(peers, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, \
                                                 "version", version, "compiler", compiler,  \
                                                 "flags", flags, "simd", simd));
    BUILD_BASELINES(ADD_BASELINE)
#undef ADD_BASELINE
#define ADD_MISSING(name, why) \
    (void)json_array_append_new(missing, json_pack("{s:s, s:s}", "name", name, "why", why));
    BUILD_MISSING(ADD_MISSING)
#undef ADD_MISSING
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:o, s:o}", "version", build_stamp.version, "compiler",
        BUILD_COMPILER, "cflags", BUILD_CFLAGS, "mode", BUILD_MODE, "portable", BUILD_PORTABLE,
        "git_commit", build_stamp.git_commit, "git_dirty",
        build_stamp.git_dirty || inputs_changed(root), "peers", peers, "missing", missing);
}

/* ---- libraries */

/* The first line of the output of a program's --version option, or JSON null. */
static json_t *program_version(const char *name)
{
    const char *const argv[] = { name, "--version", NULL };
    struct process p = { .argv = argv, .without_stderr = true };
    struct error unknown = { 0 };

    if (process_run(&p, &unknown) != OK || !p.output[0])
        return json_null();
    p.output[strcspn(p.output, "\n")] = '\0';
    return quote_json(p.output);
}

/* dlsym() finds the function at run time, because the program may be built without HDF5. */
static json_t *hdf5_version(void)
{
    int (*version)(unsigned *, unsigned *, unsigned *) = NULL;
    unsigned major, minor, release;

    *(void **)&version = dlsym(RTLD_DEFAULT, "H5get_libversion");
    if (!version || version(&major, &minor, &release) < 0)
        return json_null();
    return json_sprintf("%u.%u.%u", major, minor, release);
}

static json_t *lua_version(void)
{
    const char *ident = dlsym(RTLD_DEFAULT, "lua_ident");

    if (!ident || !(ident = strstr(ident, "Lua ")))
        return json_null();
    return json_stringn(ident + 4, strcspn(ident + 4, " $"));
}

static json_t *libraries_json(void)
{
    return json_pack("{s:{s:s, s:s, s:i}, s:s, s:s, s:o, s:o, s:o}", "openblas", "core",
                     openblas_get_corename(), "config", openblas_get_config(), "threads",
                     openblas_get_num_threads(), "jansson", JANSSON_VERSION, "libc",
                     gnu_get_libc_version(), "hdf5", hdf5_version(), "lua", lua_version(),
                     "gnuplot", program_version("gnuplot"));
}

/* ---- warnings */

static void warn(json_t *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(json_t *warnings, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)json_array_append_new(warnings, quote_json(text));
}

bool sysinfo_blas_is_below(void)
{
    static const char *const wide[] = { "SkylakeX", "Cooperlake", "Sapphirerapids", "Zen4" };

    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strcasecmp(openblas_get_corename(), wide[i]) == 0)
            return false;
    return kernels_best_isa() == ISA_AVX512;
}

static void warn_blas(json_t *warnings)
{
    const char *core = openblas_get_corename(), *asked = getenv("OPENBLAS_CORETYPE");

    if (sysinfo_blas_is_below())
        warn(warnings,
             "OpenBLAS uses its %s kernels, although this processor has AVX-512: ground "
             "truth, training and methods that use it are slower than they could be (%s%s)",
             core, asked ? "OPENBLAS_CORETYPE=" : "start through ./harness", asked ? asked : "");
}

/* The program requests large pages for its own blocks (src/core/mem.c). The launcher sets
   GLIBC_TUNABLES so that malloc() requests them too. */
static void warn_pages(json_t *warnings)
{
    const char *tunables = getenv("GLIBC_TUNABLES");
    char pages[64] = "";

    (void)first_line("/sys/kernel/mm/transparent_hugepage/enabled", pages, sizeof pages);
    if (strstr(pages, "[madvise]") && !(tunables && strstr(tunables, "malloc.hugetlb=1")))
        warn(warnings,
             "malloc() does not ask for large pages, our own blocks do: other libraries are slower "
             "than they could be (start through ./harness, or "
             "GLIBC_TUNABLES=glibc.malloc.hugetlb=1)");
}

static void warn_variables(json_t *warnings)
{
    json_t *set = variables_set();
    const size_t n = json_array_size(set);

    if (n)
        warn(warnings,
             "%.60s%s set, which changes what libraries do (./harness takes it out, unless "
             "DRIFTLINE_KEEP_ENV is set)",
             json_string_value(json_array_get(set, 0)), n > 1 ? " and others are" : " is");
    json_decref(set);
}

/* OpenBLAS 0.3.21 tries again for ever where it gets no memory for its 128 MiB a thread. */
static void warn_address_space(json_t *warnings)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        warn(
            warnings,
            "the address space is limited to %.0f MiB (ulimit -v): where that is used up, OpenBLAS "
            "waits for ever; lift the limit, and bound the memory of cells by --memory-limit",
            (double)limit.rlim_cur / (1 << 20));
}

static json_t *warnings_json(const struct kernels *kernels, const char *governor,
                             const double load[3], long cpus)
{
    json_t *warnings = json_array();

    warn_blas(warnings);
    warn_pages(warnings);
    warn_variables(warnings);
    warn_address_space(warnings);
    if (cpus > 0 && load[0] > .5 * (double)cpus)
        warn(warnings, "the machine is busy: a load of %.2f on %ld processors; times will be noisy",
             load[0], cpus);
    if (governor[0] && strcmp(governor, "performance") != 0)
        warn(warnings, "the processor's governor is \"%s\", not \"performance\": times may drift",
             governor);
    if (kernels && kernels->isa < kernels_best_isa())
        warn(warnings,
             "kernels are held to \"%s\" (DRIFTLINE_KERNELS), below what this processor has",
             kernels->name);
    return warnings;
}

static json_t *now_json(void)
{
    const time_t now = time(NULL);
    struct tm tm;
    char text[40];

    if (!gmtime_r(&now, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_string(text);
}

json_t *sysinfo_environment(const struct kernels *kernels, const char *root, size_t threads)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char governor[64] = "", host[256] = "";
    double load[3] = { 0 };
    const char *tunables = getenv("GLIBC_TUNABLES");

    (void)first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
                     sizeof governor);
    (void)gethostname(host, sizeof host - 1);
    (void)getloadavg(load, 3);
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:[f, f, f], s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:o}", "started",
        now_json(), "host", quote_json(host), "cpu", cpu_json(governor), "kernel", kernel_json(),
        "memory_bytes", (json_int_t)mem_of_machine(), "load", load[0], load[1], load[2], "build",
        build_json(root), "libraries", libraries_json(), "kernels", kernels ? kernels->name : "",
        "threads", (json_int_t)threads, "glibc_tunables",
        tunables ? quote_json(tunables) : json_null(), "variables_removed", variables_removed(),
        "variables_set", variables_set(), "warnings", warnings_json(kernels, governor, load, cpus));
}
