#include "tests/support/device.h"

#include <dlfcn.h>

#include "tests/support/testing.h"

const char *test_emulated_library(void)
{
    static char path[PATH_MAX + 64];
    char folder[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    assert_true(n > 0);
    folder[n] = '\0';
    for (char *slash = strrchr(folder, '/'); slash; slash = strrchr(folder, '/')) {
        *slash = '\0';
        (void)snprintf(path, sizeof path, "%s/libdriftline_cuda_emulated.so", folder);
        if (access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

struct emulated_device *test_emulate_device(void)
{
    static struct emulated_device defaults;
    static struct emulated_device *device;
    const char *path = test_emulated_library();
    if (!path) {
        print_message("skipped: no emulated kernels in this build\n");
        skip();
    }
    if (!device) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays open, so its state does */
        device = library ? dlsym(library, "driftline_emulated") : NULL;
        assert_non_null(device);
        defaults = *device;
        assert_int_equal(setenv("DRIFTLINE_CUDA_LIBRARY", path, 1), 0);
    }
    const size_t used = device->used_bytes;
    *device = defaults;
    device->used_bytes = used;
    return device;
}

void test_device_ok(const struct device_ops *ops, const struct device_session *session, int rc)
{
    if (rc == 0)
        return;
    print_error("device error %d: %s\n", rc, ops->session_error(session));
    _fail(__FILE__, __LINE__);
}

static struct {
    void **at;
    size_t n, capacity;
} rooms;

void *test_room(size_t n, size_t bytes)
{
    if (rooms.n == rooms.capacity) {
        rooms.capacity = 2 * rooms.capacity + 64;
        rooms.at = realloc(rooms.at, rooms.capacity * sizeof *rooms.at);
        assert_non_null(rooms.at);
    }
    rooms.at[rooms.n] = calloc(n ? n : 1, bytes);
    assert_non_null(rooms.at[rooms.n]);
    return rooms.at[rooms.n++];
}

static void with_session(const struct device_ops *ops,
                         void (*check)(const struct device_ops *, struct device_session *))
{
    char why[500];
    struct device_session *session;
    assert_int_equal(ops->session_create(&session, why, sizeof why), 0);
    check(ops, session);
    ops->session_destroy(session);
    while (rooms.n > 0)
        free(rooms.at[--rooms.n]);
}

/* Returns whether the library at path could be used. */
static bool with_library(const char *path, const char *name,
                         void (*check)(const struct device_ops *, struct device_session *))
{
    const char *only = getenv("DRIFTLINE_TEST_DEVICE");
    char why[500] = "left out";
    struct device_library library;
    if ((only && strcmp(only, name) != 0) || device_load(path, &library, why, sizeof why)) {
        print_message("%s: %s\n", name, why);
        return false;
    }
    with_session(library.ops, check);
    device_unload(&library);
    return true;
}

void test_each_device(void (*check)(const struct device_ops *, struct device_session *))
{
    const char *emulated = test_emulated_library();
    bool any = emulated && with_library(emulated, "emulated", check);
    any |= with_library("build/" DEVICE_LIBRARY, "device", check);
    if (!any) {
        print_message("skipped: neither the emulated kernels nor a device\n");
        skip();
    }
}

void test_small_device(size_t bytes,
                       void (*check)(const struct device_ops *, struct device_session *))
{
    char why[500];
    struct device_library library;
    test_emulate_device()->memory_bytes = bytes;
    assert_int_equal(device_load(test_emulated_library(), &library, why, sizeof why), 0);
    with_session(library.ops, check);
    device_unload(&library);
    (void)test_emulate_device();
}
