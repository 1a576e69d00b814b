/* loaded.c - see loaded.h. Every offset in the file is checked against the file's size. */
#include "src/plan/loaded.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "src/core/stamp/stamp.h"

struct program {
    const char *path;
    int fd;
    uint64_t bytes;
    Elf64_Shdr *sections; /* NULL: they cannot be read */
    size_t n;
    char *names; /* of the sections; names_bytes and a 0 */
    uint64_t names_bytes;
    struct error *err;
};

static bool holds(const struct program *p, uint64_t offset, uint64_t bytes)
{
    return offset <= p->bytes && bytes <= p->bytes - offset;
}

static int read_at(const struct program *p, void *to, uint64_t bytes, uint64_t offset)
{
    for (uint64_t done = 0; done < bytes;) {
        const ssize_t got =
            pread(p->fd, (char *)to + done, (size_t)(bytes - done), (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(p->err, ERR_IO, "%s: cannot read", p->path);
        if (got == 0)
            return fail(p->err, ERR_IO, "%s: became shorter while it was read", p->path);
        done += (uint64_t)got;
    }
    return OK;
}

/* A new block of these bytes and a 0 behind them. The file holds them. */
static int read_block(const struct program *p, char **block, uint64_t bytes, uint64_t offset)
{
    *block = malloc((size_t)bytes + 1);
    if (!*block)
        return fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->path);
    (*block)[bytes] = '\0';
    return read_at(p, *block, bytes, offset);
}

static bool is_readable(const struct program *p, const Elf64_Ehdr *head)
{
    return !memcmp(head->e_ident, ELFMAG, SELFMAG) && head->e_ident[EI_CLASS] == ELFCLASS64 &&
           head->e_ident[EI_DATA] == ELFDATA2LSB && head->e_shentsize == sizeof(Elf64_Shdr) &&
           head->e_shstrndx < head->e_shnum &&
           holds(p, head->e_shoff, (uint64_t)head->e_shnum * sizeof(Elf64_Shdr));
}

/* Leaves p->sections NULL if the file has no table of sections, or one with an impossible entry. */
static int read_sections(struct program *p)
{
    Elf64_Ehdr head;
    char *table = NULL;
    if (!holds(p, 0, sizeof head))
        return OK;
    int rc = read_at(p, &head, sizeof head, 0);
    if (rc || !is_readable(p, &head))
        return rc;
    rc = read_block(p, &table, (uint64_t)head.e_shnum * sizeof(Elf64_Shdr), head.e_shoff);
    const Elf64_Shdr *all = (const Elf64_Shdr *)(void *)table;
    bool possible = !rc && holds(p, all[head.e_shstrndx].sh_offset, all[head.e_shstrndx].sh_size);
    if (possible) {
        p->names_bytes = all[head.e_shstrndx].sh_size;
        rc = read_block(p, &p->names, p->names_bytes, all[head.e_shstrndx].sh_offset);
    }
    size_t loaded = 0;
    for (size_t i = 0; possible && i < head.e_shnum; i++) {
        possible = all[i].sh_name < p->names_bytes &&
                   (all[i].sh_type == SHT_NOBITS || holds(p, all[i].sh_offset, all[i].sh_size));
        loaded += (all[i].sh_flags & SHF_ALLOC) != 0;
    }
    if (rc || !possible || !loaded) {
        free(table);
        return rc;
    }
    p->sections = (Elf64_Shdr *)(void *)table;
    p->n = head.e_shnum;
    return OK;
}

/* Piece by piece: the program with RocksDB has 15 MB, and every run of it is hashed. */
static int hash_section(const struct program *p, const Elf64_Shdr *s, char hex[33])
{
    enum { PIECE = 1 << 18 };
    XXH3_state_t *state = XXH3_createState();
    char *piece = malloc(PIECE);
    int rc = state && piece ? OK : fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->path);
    if (!rc)
        (void)XXH3_128bits_reset(state);
    for (uint64_t done = 0; !rc && done < s->sh_size;) {
        const uint64_t n = s->sh_size - done < PIECE ? s->sh_size - done : PIECE;
        rc = read_at(p, piece, n, s->sh_offset + done);
        if (!rc)
            (void)XXH3_128bits_update(state, piece, (size_t)n);
        done += n;
    }
    if (!rc) {
        const XXH128_hash_t hash = XXH3_128bits_digest(state);
        (void)snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
    }
    free(piece);
    (void)XXH3_freeState(state);
    return rc;
}

static int write_section(const struct program *p, const Elf64_Shdr *s, FILE *list)
{
    const char *name = p->names + s->sh_name;
    char hex[33] = "-";
    int rc = OK;
    if (!(s->sh_flags & SHF_ALLOC) || !strcmp(name, BUILD_STAMP_SECTION) ||
        !strcmp(name, ".note.gnu.build-id"))
        return OK;
    if (s->sh_type != SHT_NOBITS)
        rc = hash_section(p, s, hex);
    fprintf(list, "%s %" PRIu32 " %" PRIx64 " %" PRIx64 " %" PRIu64 " %s\n", name, s->sh_type,
            s->sh_flags, s->sh_addr, s->sh_size, hex);
    return rc;
}

static int hash_sections(const struct program *p, char hex[SHA256_HEX_BYTES])
{
    char *text = NULL;
    size_t bytes = 0;
    int rc = OK;
    FILE *list = open_memstream(&text, &bytes);
    for (size_t i = 0; list && !rc && i < p->n; i++)
        rc = write_section(p, &p->sections[i], list);
    const bool whole = list && !ferror(list);
    if (list && fclose(list) == 0 && whole && !rc)
        rc = sha256_block(text, bytes, hex, p->err);
    else if (!rc)
        rc = fail(p->err, ERR_NO_MEMORY, "%s: out of memory", p->path);
    free(text);
    return rc;
}

int identity_hash_loaded(const char *path, char hex[SHA256_HEX_BYTES], struct error *err)
{
    struct program p = { .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .err = err };
    struct stat st;
    if (p.fd < 0)
        return fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot open", path);
    int rc = fstat(p.fd, &st) ? fail_errno(err, ERR_IO, "%s: cannot read its size", path) : OK;
    p.bytes = rc ? 0 : (uint64_t)st.st_size;
    if (!rc)
        rc = read_sections(&p);
    if (!rc)
        rc = p.sections ? hash_sections(&p, hex) : sha256_file(path, hex, NULL, err);
    free(p.sections);
    free(p.names);
    (void)close(p.fd);
    return rc;
}
