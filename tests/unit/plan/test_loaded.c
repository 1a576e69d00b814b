/* test_loaded.c - the hash of what is loaded of a program: what it covers, what it leaves out, and
 * files that have no sections or damaged ones. */
#include "tests/support/testing.h"

#include <elf.h>

#include "src/core/stamp/stamp.h"
#include "src/plan/identity.h"

/* ---- a small ELF file: header, contents, table of sections; the contents have 16 bytes each */

enum { NONE, TEXT, RODATA, DATA, BSS, STAMP, BUILD_ID, DEBUG, NAMES, SECTIONS, PART = 16 };

static const struct {
    const char *name;
    uint32_t type;
    uint64_t flags;
} kinds[SECTIONS] = { { "", SHT_NULL, 0 },
                      { ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR },
                      { ".rodata", SHT_PROGBITS, SHF_ALLOC },
                      { ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE },
                      { ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE },
                      { BUILD_STAMP_SECTION, SHT_PROGBITS, SHF_ALLOC },
                      { ".note.gnu.build-id", SHT_NOTE, SHF_ALLOC },
                      { ".debug_info", SHT_PROGBITS, 0 },
                      { ".shstrtab", SHT_STRTAB, 0 } };

struct elf {
    Elf64_Ehdr head;
    unsigned char parts[SECTIONS][PART]; /* by section; of NONE, BSS and NAMES unused */
    char names[128];
    Elf64_Shdr sections[SECTIONS];
};

static struct elf elf_file(void)
{
    struct elf f;
    memset(&f, 0, sizeof f);
    memcpy(f.head.e_ident, ELFMAG, SELFMAG);
    f.head.e_ident[EI_CLASS] = ELFCLASS64;
    f.head.e_ident[EI_DATA] = ELFDATA2LSB;
    f.head.e_shoff = offsetof(struct elf, sections);
    f.head.e_shentsize = sizeof(Elf64_Shdr);
    f.head.e_shnum = SECTIONS;
    f.head.e_shstrndx = NAMES;
    uint32_t at = 0;
    for (size_t i = 0; i < SECTIONS; i++) {
        Elf64_Shdr *s = &f.sections[i];
        memset(f.parts[i], (int)i, PART);
        s->sh_type = kinds[i].type;
        s->sh_flags = kinds[i].flags;
        s->sh_addr = i ? 4096 * i : 0;
        s->sh_offset = offsetof(struct elf, parts) + PART * i;
        s->sh_size = i ? PART : 0;
        s->sh_name = at;
        at += (uint32_t)snprintf(f.names + at, sizeof f.names - at, "%s", kinds[i].name) + 1;
    }
    f.sections[NAMES].sh_offset = offsetof(struct elf, names);
    f.sections[NAMES].sh_size = at;
    f.sections[BSS].sh_offset = UINT64_MAX / 2; /* is not read */
    return f;
}

struct folder {
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct error err;
};

static int folder_set_up(void **state)
{
    struct folder *w = *state = calloc(1, sizeof *w);
    test_dir_make(w->dir);
    (void)snprintf(w->path, sizeof w->path, "%s/program", w->dir);
    return 0;
}

static int folder_tear_down(void **state)
{
    struct folder *w = *state;
    error_clear(&w->err);
    test_dir_remove(w->dir);
    free(w);
    return 0;
}

static void write_file(const struct folder *w, const void *bytes, size_t n)
{
    FILE *out = fopen(w->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void hash_of(struct folder *w, const struct elf *f, char hex[SHA256_HEX_BYTES])
{
    write_file(w, f, sizeof *f);
    assert_ok(identity_hash_loaded(w->path, hex, &w->err), &w->err);
}

/* Whether the file has the hash of all its bytes. */
static bool is_hashed_whole(struct folder *w)
{
    char hex[SHA256_HEX_BYTES], whole[SHA256_HEX_BYTES];
    assert_ok(identity_hash_loaded(w->path, hex, &w->err), &w->err);
    assert_ok(sha256_file(w->path, whole, NULL, &w->err), &w->err);
    return strcmp(hex, whole) == 0;
}

/* ---- */

static void a_byte_of_what_is_loaded_counts(void **state)
{
    static const bool counts[SECTIONS] = { [TEXT] = true, [RODATA] = true, [DATA] = true };
    struct folder *w = *state;
    char plain[SHA256_HEX_BYTES], other[SHA256_HEX_BYTES];
    struct elf f = elf_file();
    hash_of(w, &f, plain);
    assert_false(is_hashed_whole(w));
    for (size_t i = 0; i < SECTIONS; i++)
        for (size_t j = 0; j < PART; j += PART - 1) {
            f = elf_file();
            f.parts[i][j] ^= 1;
            hash_of(w, &f, other);
            if (counts[i] != (strcmp(plain, other) != 0))
                fail_msg("byte %zu of \"%s\"", j, kinds[i].name);
        }
}

static void a_section_s_place_and_kind_count(void **state)
{
    struct folder *w = *state;
    char plain[SHA256_HEX_BYTES], other[SHA256_HEX_BYTES];
    struct elf f = elf_file();
    hash_of(w, &f, plain);
#define TRY(expect, change)                                       \
    do {                                                          \
        f = elf_file();                                           \
        change;                                                   \
        hash_of(w, &f, other);                                    \
        if ((strcmp(plain, other) == 0) != (expect))              \
            fail_msg("%s: the hash is not as expected", #change); \
        assert_false(is_hashed_whole(w));                         \
    } while (0)
    TRY(false, f.sections[BSS].sh_size++);
    TRY(false, f.sections[BSS].sh_type = SHT_PROGBITS; f.sections[BSS].sh_offset = 64);
    TRY(false, f.sections[DATA].sh_addr += 64);
    TRY(false, f.sections[DATA].sh_flags &= ~(uint64_t)SHF_WRITE);
    TRY(false, f.sections[DATA].sh_flags = 0);
    TRY(false, f.sections[DATA].sh_size--);
    TRY(false, f.names[f.sections[TEXT].sh_name + 1] = 'T');
    TRY(false, f.names[f.sections[STAMP].sh_name + 1] = 'D');
    /* As strip -g and a linker do: debugging information goes, and all moves in the file. */
    TRY(true, f.sections[DEBUG].sh_size = 0);
    TRY(true, f.sections[DATA].sh_offset = offsetof(struct elf, parts[DEBUG]);
        memcpy(f.parts[DEBUG], f.parts[DATA], PART));
    TRY(true, f.head.e_entry++);
    TRY(true, f.sections[STAMP].sh_addr++);
#undef TRY
}

static void a_file_without_sections_is_hashed_whole(void **state)
{
    struct folder *w = *state;
    struct elf f = elf_file();
    for (size_t n = 0; n < sizeof f; n++) {
        write_file(w, &f, n);
        if (!is_hashed_whole(w))
            fail_msg("cut to %zu bytes", n);
    }
#define TRY(change)                                          \
    do {                                                     \
        f = elf_file();                                      \
        change;                                              \
        write_file(w, &f, sizeof f);                         \
        if (!is_hashed_whole(w))                             \
            fail_msg("%s: it is not hashed whole", #change); \
    } while (0)
    TRY(f.head.e_ident[0] = 0);
    TRY(f.head.e_ident[EI_CLASS] = ELFCLASS32);
    TRY(f.head.e_ident[EI_DATA] = ELFDATA2MSB);
    TRY(f.head.e_shentsize--);
    TRY(f.head.e_shnum = 0);
    TRY(f.head.e_shnum++);
    TRY(f.head.e_shnum = UINT16_MAX);
    TRY(f.head.e_shstrndx = SECTIONS);
    TRY(f.head.e_shoff++);
    TRY(f.head.e_shoff = UINT64_MAX);
    TRY(f.sections[NAMES].sh_offset = UINT64_MAX);
    TRY(f.sections[NAMES].sh_size = UINT64_MAX);
    TRY(f.sections[NAMES].sh_size = 0);
    TRY(f.sections[TEXT].sh_name = UINT32_MAX);
    TRY(f.sections[TEXT].sh_name = (uint32_t)f.sections[NAMES].sh_size);
    TRY(f.sections[TEXT].sh_offset = sizeof f);
    TRY(f.sections[TEXT].sh_offset = UINT64_MAX - PART + 1); /* their sum is 0 */
    TRY(f.sections[TEXT].sh_size = sizeof f);
    TRY(f.sections[TEXT].sh_size = UINT64_MAX);
    TRY(f.sections[DEBUG].sh_size = UINT64_MAX);
    TRY(for (size_t i = 0; i < SECTIONS; i++) f.sections[i].sh_flags = 0);
#undef TRY
}

static void files_that_cannot_be_read_are_said(void **state)
{
    struct folder *w = *state;
    char hex[SHA256_HEX_BYTES];
    assert_code(identity_hash_loaded(w->path, hex, &w->err), ERR_NOT_FOUND, &w->err);
    assert_code(identity_hash_loaded(w->dir, hex, &w->err), ERR_IO, &w->err);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_set_up, folder_tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_byte_of_what_is_loaded_counts),
        IN_A_FOLDER(a_section_s_place_and_kind_count),
        IN_A_FOLDER(a_file_without_sections_is_hashed_whole),
        IN_A_FOLDER(files_that_cannot_be_read_are_said),
    };
    return test_run("loaded", tests);
}
