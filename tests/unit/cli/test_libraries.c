/* test_libraries.c - a library other than the one that the program was linked with is detected,
 * wherever it was loaded from. */
#define _GNU_SOURCE
#include "tests/support/testing.h"

#include <link.h>

#include "src/cli/support/libraries.h"
#include "src/data/files/sha256.h"

struct loaded {
    char path[PATH_MAX];
};

static int find_cmocka(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct loaded *found = context;
    if (!strstr(info->dlpi_name, "/libcmocka.so"))
        return 0;
    (void)snprintf(found->path, sizeof found->path, "%s", info->dlpi_name);
    return 1;
}

static void the_right_content_is_required(void **state)
{
    struct loaded cmocka = { "" };
    struct error err = { 0 };
    char sha256[SHA256_HEX_BYTES], elsewhere[PATH_MAX + 64];
    assert_int_equal(dl_iterate_phdr(find_cmocka, &cmocka), 1);
    assert_ok(sha256_file(cmocka.path, sha256, NULL, &err), &err);
    (void)snprintf(elsewhere, sizeof elsewhere, "/elsewhere%s", strrchr(cmocka.path, '/'));
    struct linked_library linked[] = { { "/no/libnothing.so", "0" }, { elsewhere, sha256 } };
    assert_ok(libraries_check(linked, 2, &err), &err);
    sha256[5] = sha256[5] == '0' ? '1' : '0';
    assert_int_equal(libraries_check(linked, 2, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, cmocka.path));
    assert_non_null(strstr(err.text, elsewhere));
    error_clear(&err);
    assert_ok(libraries_check(linked, 1, &err), &err);
    assert_ok(libraries_check_linked(&err), &err);
}

int main(void)
{
    return test_run_all("libraries", the_right_content_is_required);
}
