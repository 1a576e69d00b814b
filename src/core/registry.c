/* registry.c - finds methods by name and loads plugins. */
#define _GNU_SOURCE /* dlinfo() */
#include "src/core/registry.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "src/core/checked.h"
#include "src/core/mem.h"

static const struct index_ops *find(const struct registry *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->ops[i]->name, name) == 0)
            return r->ops[i];
    return NULL;
}

int registry_add(struct registry *r, const struct index_ops *ops, struct error *err)
{
    const int rc = index_ops_check(ops, err);
    if (rc != OK)
        return rc;
    if (find(r, ops->name))
        return fail(err, ERR_ARGUMENT,
                    "two methods are called \"%s\"; rename one (.name in its struct index_ops)",
                    ops->name);
    if (!mem_grow(NULL, &r->ops, &r->capacity, r->n + 1, sizeof *r->ops))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    r->ops[r->n++] = ops;
    return OK;
}

void registry_close(struct registry *r)
{
    mem_free(NULL, r->ops);
    for (size_t i = 0; i < r->n_plugins; i++) {
        dlclose(r->plugins[i].handle);
        mem_free(NULL, r->plugins[i].path);
    }
    mem_free(NULL, r->plugins);
    *r = (struct registry){ 0 };
}

/* The names that a shared object defines for others. */
struct names {
    const ElfW(Sym) * symbols;
    const char *text;
    size_t n;
    bool symbolic; /* linked with -Bsymbolic: its own calls reach its own symbols */
};

/* The number of symbols is one more than the last in the hash table: the chain of the last bucket ends
   with an odd hash. */
static size_t symbols_of_gnu_hash(const uint32_t *table)
{
    const uint32_t n_buckets = table[0], first = table[1], n_bloom = table[2];
    const uint32_t *buckets = table + 4 + (size_t)n_bloom * (sizeof(ElfW(Addr)) / sizeof *table),
                   *hashes = buckets + n_buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < n_buckets; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first)
        return first;
    while (!(hashes[last - first] & 1))
        last++;
    return (size_t)last + 1;
}

static struct names names_of(const struct link_map *map)
{
    struct names names = { 0 };
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        /* The loader has made these addresses absolute. */
        const void *at = (const void *)d->d_un.d_ptr;
        switch (d->d_tag) {
            case DT_SYMTAB: names.symbols = at; break;
            case DT_STRTAB: names.text = at; break;
            case DT_HASH: names.n = ((const uint32_t *)at)[1]; break;
            case DT_GNU_HASH: names.n = names.n ? names.n : symbols_of_gnu_hash(at); break;
            case DT_SYMBOLIC: names.symbolic = true; break;
            case DT_FLAGS: names.symbolic |= (d->d_un.d_val & DF_SYMBOLIC) != 0; break;
            default: break;
        }
    }
    return names;
}

/* The first function or variable that both the plugin and this program define; NULL: none. The plugin's
   own uses of it would reach the program's. Weak ones are those of C++, which are alike. */
static const char *name_of_both(void *handle)
{
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || !map)
        return NULL;
    const struct names names = names_of(map);
    for (size_t i = 1; names.symbols && names.text && !names.symbolic && i < names.n; i++) {
        const ElfW(Sym) *s = &names.symbols[i];
        const unsigned type = ELF64_ST_TYPE(s->st_info);
        const char *name = names.text + s->st_name;
        if (s->st_shndx != SHN_UNDEF && ELF64_ST_BIND(s->st_info) == STB_GLOBAL &&
            (type == STT_FUNC || type == STT_OBJECT) && strcmp(name, "_init") != 0 &&
            strcmp(name, "_fini") != 0 && dlsym(RTLD_DEFAULT, name))
            return name;
    }
    return NULL;
}

static int add_from(struct registry *r, void *handle, const char *path, struct error *err)
{
    const struct index_ops *(*plugin)(void);
    void *symbol = dlsym(handle, INDEX_PLUGIN_SYMBOL);
    if (!symbol)
        return fail(
            err, ERR_VERSION,
            "plugin %s has no symbol \"%s\"; it must define one (src/core/index.h, end; a copy "
            "of the skeleton does with -DDRIFTLINE_PLUGIN)",
            path, INDEX_PLUGIN_SYMBOL);
    const char *both = name_of_both(handle);
    if (both)
        return fail(
            err, ERR_VERSION,
            "plugin %s defines \"%s\", and so does this program or one of its libraries: the "
            "plugin would use that one instead of its own; rename it, make it static, or link "
            "the plugin with -Wl,-Bsymbolic",
            path, both);
    /* C has no cast from an object pointer to a function pointer; POSIX guarantees that both have
       the same bytes. */
    memcpy(&plugin, &symbol, sizeof plugin);
    const int rc = registry_add(r, plugin(), err);
    if (rc != OK && err)
        (void)fail_within(err, "plugin %s", path);
    return rc;
}

int registry_load_plugin(struct registry *r, const char *path, struct error *err)
{
    size_t capacity = r->n_plugins;
    if (!mem_grow(NULL, &r->plugins, &capacity, r->n_plugins + 1, sizeof *r->plugins))
        return fail(err, ERR_NO_MEMORY, "registry: out of memory");
    /* Without a slash in the path, dlopen() would search the system library folders. */
    char local[4096] = "./";
    if (!strchr(path, '/') && strlen(path) < sizeof local - 2) {
        strcpy(local + 2, path);
        path = local;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return fail(err, ERR_NOT_FOUND, "plugin %s does not load: %s", path,
                    why ? why : "no reason given");
    }
    char *own_path = mem_strdup(NULL, path);
    const int rc = own_path ? add_from(r, handle, path, err)
                            : fail(err, ERR_NO_MEMORY, "registry: out of memory");
    if (rc == OK) {
        r->plugins[r->n_plugins++] = (struct registry_plugin){ handle, own_path, r->n - 1 };
    } else {
        mem_free(NULL, own_path);
        dlclose(handle);
    }
    return rc;
}

const struct index_ops *registry_find(const struct registry *r, const char *name, struct error *err)
{
    const struct index_ops *ops = find(r, name);
    if (ops)
        return ops;
    const char *names[256] = { NULL };
    size_t n = 0;
    for (; n < r->n && n < sizeof names / sizeof *names; n++)
        names[n] = r->ops[n]->name;
    const struct hint_text hint = error_hint(name, names, n);
    (void)fail(err, ERR_NOT_FOUND, "there is no method \"%s\"%s", name,
               *hint.text ? hint.text
                          : " (./harness list methods; for one of a plugin: --plugin FILE.so)");
    return NULL;
}
