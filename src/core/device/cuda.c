#include "src/core/device/cuda.h"

#include <limits.h>

#include "src/core/index.h"

int cuda_open(struct cuda *c, const char *who, const char *option, struct error *err)
{
    char path[PATH_MAX], why[512] = "";
    *c = (struct cuda){ 0 };
    if (!device_find(path, sizeof path))
        return fail(err, ERR_UNSUPPORTED,
                    "%s: %s = cuda: there is no %s beside the program or above it; run make where "
                    "nvcc is installed, which builds it, or use %s = cpu",
                    who, option, DEVICE_LIBRARY, option);
    if (device_load(path, &c->library, why, sizeof why) == 0 &&
        c->library.ops->session_create(&c->session, why, sizeof why) == 0)
        return OK;
    cuda_close(c);
    return fail(err, ERR_UNSUPPORTED, "%s: %s = cuda: %s; or use %s = cpu", who, option, why,
                option);
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
    return fail(err, rc == DEVICE_MEMORY ? ERR_NO_MEMORY : ERR_BASELINE, "%s: %s", who,
                c->library.ops->session_error(c->session));
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
