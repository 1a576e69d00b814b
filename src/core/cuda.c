#include "src/core/cuda.h"

#include <limits.h>

#include "src/core/index.h"

int cuda_open(struct cuda *c, const char *who, struct error *err)
{
    char path[PATH_MAX], why[512] = "";
    *c = (struct cuda){ 0 };
    if (!device_find(path, sizeof path))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: device = cuda: there is no %s beside the program or above it; run make "
                    "where nvcc is installed, which builds it, or use device = cpu",
                    who, DEVICE_LIBRARY);
    if (device_load(path, &c->library, why, sizeof why))
        return fail(err, ERR_UNSUPPORTED, "%s: device = cuda: %s; or use device = cpu", who, why);
    if (c->library.ops->session_create(&c->session, why, sizeof why)) {
        cuda_close(c);
        return fail(err, ERR_UNSUPPORTED, "%s: device = cuda: %s; or use device = cpu", who, why);
    }
    return OK;
}

void cuda_close(struct cuda *c)
{
    if (c->session)
        c->library.ops->session_destroy(c->session);
    device_unload(&c->library);
    *c = (struct cuda){ 0 };
}

int cuda_check(const struct cuda *c, int rc, const char *who, struct error *err)
{
    if (rc == 0)
        return OK;
    return fail(err, rc == DEVICE_MEMORY ? ERR_NO_MEMORY : ERR_BASELINE, "%s: device = cuda: %s",
                who, c->library.ops->session_error(c->session));
}

void cuda_stats(const struct cuda *c, struct stat_sink *sink)
{
    struct device_traffic traffic;
    if (!c->session)
        return;
    c->library.ops->session_traffic(c->session, &traffic);
    sink->value(sink->to, "device_in_bytes", (double)traffic.to_device_bytes);
    sink->value(sink->to, "device_out_bytes", (double)traffic.from_device_bytes);
    sink->value(sink->to, "device_launches", (double)traffic.launches);
}
