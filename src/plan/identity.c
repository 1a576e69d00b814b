/* identity.c - see identity.h. */
#define _GNU_SOURCE
#include "src/plan/identity.h"

#include <cblas.h>
#include <elf.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "src/base/quote.h"
#include "src/base/sysinfo.h"
#include "src/core/stamp/stamp.h"
#include "src/data/readers/bytes.h"

extern char **environ;

/* 1. The program: what is loaded of its file. Every offset in the file is checked against its size. */

struct program {
    const char *path;
    struct bytes file;
    Elf64_Ehdr head;
    Elf64_Shdr names; /* the section with the names of all */
};

/* The file has it. */
static Elf64_Shdr section_of(const struct program *p, size_t i)
{
    Elf64_Shdr s;
    memcpy(&s, p->file.at + p->head.e_shoff + i * sizeof s, sizeof s);
    return s;
}

static bool holds(const struct program *p, uint64_t offset, uint64_t bytes)
{
    return offset <= p->file.size && bytes <= p->file.size - offset;
}

static bool is_readable(const struct program *p)
{
    const Elf64_Ehdr *head = &p->head;
    return !memcmp(head->e_ident, ELFMAG, SELFMAG) && head->e_ident[EI_CLASS] == ELFCLASS64 &&
           head->e_ident[EI_DATA] == ELFDATA2LSB && head->e_shentsize == sizeof(Elf64_Shdr) &&
           head->e_shstrndx < head->e_shnum &&
           holds(p, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr));
}

/* Whether the file has a table of sections, without an impossible entry, some of which are loaded. */
static bool find_sections(struct program *p)
{
    bool loaded = false;
    if (!holds(p, 0, sizeof p->head))
        return false;
    memcpy(&p->head, p->file.at, sizeof p->head);
    if (!is_readable(p))
        return false;
    p->names = section_of(p, p->head.e_shstrndx);
    if (!holds(p, p->names.sh_offset, p->names.sh_size) || p->names.sh_size == 0 ||
        p->file.at[p->names.sh_offset + p->names.sh_size - 1] != '\0')
        return false;
    for (size_t i = 0; i < p->head.e_shnum; i++) {
        const Elf64_Shdr s = section_of(p, i);
        if (s.sh_name >= p->names.sh_size ||
            (s.sh_type != SHT_NOBITS && !holds(p, s.sh_offset, s.sh_size)))
            return false;
        loaded |= (s.sh_flags & SHF_ALLOC) != 0;
    }
    return loaded;
}

static void write_section(const struct program *p, const Elf64_Shdr *s, FILE *list)
{
    const char *name = (const char *)p->file.at + p->names.sh_offset + s->sh_name;
    if (!(s->sh_flags & SHF_ALLOC) || !strcmp(name, BUILD_STAMP_SECTION) ||
        !strcmp(name, ".note.gnu.build-id"))
        return;
    fprintf(list, "%s %" PRIu32 " %" PRIx64 " %" PRIx64 " %" PRIu64, name, s->sh_type, s->sh_flags,
            s->sh_addr, s->sh_size);
    if (s->sh_type == SHT_NOBITS) {
        fputs(" -\n", list);
        return;
    }
    const XXH128_hash_t hash = XXH3_128bits(p->file.at + s->sh_offset, s->sh_size);
    fprintf(list, " %016" PRIx64 "%016" PRIx64 "\n", hash.high64, hash.low64);
}

static int hash_sections(const struct program *p, char hex[SHA256_HEX_BYTES], struct error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *list = open_memstream(&text, &bytes);
    for (size_t i = 0; list && i < p->head.e_shnum; i++) {
        const Elf64_Shdr s = section_of(p, i);
        write_section(p, &s, list);
    }
    const bool whole = list && !ferror(list);
    const int rc = list && fclose(list) == 0 && whole
                       ? sha256_block(text, bytes, hex, err)
                       : fail(err, ERR_NO_MEMORY, "%s: out of memory", p->path);
    free(text);
    return rc;
}

int identity_hash_loaded(const char *path, char hex[SHA256_HEX_BYTES], struct error *err)
{
    struct program p = { .path = path };
    struct error unreadable = { 0 };
    const bool open = bytes_open(&p.file, path, NULL, 0, &unreadable) == OK;
    const int rc = open && p.file.is_file && find_sections(&p) ? hash_sections(&p, hex, err)
                                                               : sha256_file(path, hex, NULL, err);
    if (open)
        bytes_close(&p.file);
    error_clear(&unreadable);
    return rc;
}

/* 2. Libraries, plugins and settings */

/* Environment variables that change the libraries that methods use; a name that ends in
   _ is a prefix. */
static const char *const tunables[] = { "BLIS_", "GLIBC_TUNABLES", "GOMP_",      "GOTO_",
                                        "KMP_",  "LD_BIND_NOW",    "LD_PRELOAD", "MALLOC_",
                                        "MKL_",  "OMP_",           "OPENBLAS_" };

static bool is_tunable(const char *variable, size_t name_bytes)
{
    for (size_t i = 0; i < sizeof tunables / sizeof *tunables; i++) {
        const size_t n = strlen(tunables[i]);
        const bool family = tunables[i][n - 1] == '_';
        if ((family ? name_bytes > n : name_bytes == n) && !strncmp(variable, tunables[i], n))
            return true;
    }
    return false;
}

static json_t *tunables_json(void)
{
    json_t *object = json_object();
    for (char **at = environ; object && *at; at++) {
        const char *equals = strchr(*at, '=');
        char name[128];
        if (!equals || !is_tunable(*at, (size_t)(equals - *at)))
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(equals - *at), *at);
        json_object_set_new(object, name, quote_json(equals + 1));
    }
    /* The kernels in use, whether a variable or OpenBLAS itself chose them. */
    json_object_set_new(object, "openblas_core", json_string(openblas_get_corename()));
    return object;
}

struct loaded {
    json_t *libraries;
    const struct registry *registry;
    struct error *err;
};

static bool is_plugin(const struct registry *r, const char *path)
{
    for (size_t i = 0; i < r->n_plugins; i++)
        if (strcmp(r->plugins[i].path, path) == 0)
            return true;
    return false;
}

/* The build ID among the notes of a segment in memory, in hexadecimal; false if there is none. */
static bool find_build_id(const char *notes, size_t bytes, char *hex, size_t hex_bytes)
{
    while (bytes >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)notes;
        const size_t name = (note->n_namesz + 3u) & ~3u, id = (note->n_descsz + 3u) & ~3u;
        if (name + id > bytes - sizeof *note)
            return false;
        const char *text = notes + sizeof *note;
        const unsigned char *value = (const void *)(text + name);
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof "GNU" &&
            !memcmp(text, "GNU", sizeof "GNU") && 2 * note->n_descsz < hex_bytes) {
            for (size_t i = 0; i < note->n_descsz; i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", value[i]);
            return note->n_descsz > 0;
        }
        notes += sizeof *note + name + id;
        bytes -= sizeof *note + name + id;
    }
    return false;
}

/* Skips objects without a path: the program itself, whose name is "", and the kernel's vDSO.
   A build ID, a linker's hash of what it linked, spares the 60 MB of all libraries' files. */
static int add_library(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct loaded *l = context;
    char id[SHA256_HEX_BYTES];
    bool found = false;
    (void)bytes;
    if (!strchr(info->dlpi_name, '/') || is_plugin(l->registry, info->dlpi_name))
        return 0;
    for (size_t i = 0; !found && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        found =
            part->p_type == PT_NOTE && find_build_id((const char *)info->dlpi_addr + part->p_vaddr,
                                                     part->p_memsz, id, sizeof id);
    }
    const int rc = found ? OK : sha256_file(info->dlpi_name, id, NULL, l->err);
    if (!rc)
        json_object_set_new(l->libraries, strrchr(info->dlpi_name, '/') + 1, json_string(id));
    return rc;
}

/* The library of GPU kernels is not loaded yet: a method opens it when it needs the GPU. */
static int add_device_library(struct loaded *l)
{
    char path[PATH_MAX], sha256[SHA256_HEX_BYTES];
    if (!device_find(path, sizeof path))
        return OK;
    const int rc = identity_hash_loaded(path, sha256, l->err);
    if (!rc) {
        const char *name = strrchr(path, '/');
        json_object_set_new(l->libraries, name ? name + 1 : path, json_string(sha256));
    }
    return rc;
}

static int hash_plugins(struct identity *id, const struct registry *r, struct error *err)
{
    int rc = OK;
    id->plugins = json_object();
    for (size_t i = 0; !rc && i < r->n_plugins; i++) {
        char sha256[SHA256_HEX_BYTES];
        rc = sha256_file(r->plugins[i].path, sha256, NULL, err);
        if (!rc)
            json_object_set_new(id->plugins, r->ops[r->plugins[i].op]->name, json_string(sha256));
    }
    return rc;
}

int identity_open(struct identity *id, const struct registry *r, const struct kernels *kernels,
                  struct error *err)
{
    char program[SHA256_HEX_BYTES];
    struct loaded loaded = { json_object(), r, err };
    *id = (struct identity){ 0 };
    int rc = identity_hash_loaded("/proc/self/exe", program, err);
    if (!rc)
        rc = hash_plugins(id, r, err);
    if (!rc)
        rc = dl_iterate_phdr(add_library, &loaded);
    if (!rc)
        rc = add_device_library(&loaded);
    if (rc) {
        json_decref(loaded.libraries);
        return rc;
    }
    id->program =
        json_pack("{s:s, s:n, s:o, s:s, s:o, s:o}", "program_sha256", program, "plugin_sha256",
                  "libraries", loaded.libraries, "kernels", kernels ? kernels->name : "", "cpu",
                  sysinfo_cpu_model(), "tunables", tunables_json());
    return id->program ? OK : fail(err, ERR_NO_MEMORY, "out of memory for the program's identity");
}

void identity_close(struct identity *id)
{
    json_decref(id->program);
    json_decref(id->plugins);
    *id = (struct identity){ 0 };
}

json_t *identity_of_method(const struct identity *id, const char *method)
{
    json_t *own = json_deep_copy(id->program), *plugin = json_object_get(id->plugins, method);
    if (own && plugin)
        json_object_set(own, "plugin_sha256", plugin);
    return own;
}
