/* test_dispatch.c - the selection of a table of kernels, and that each table is complete. */
#include "tests/support/testing.h"

static void test_dispatch(void **state)
{
    enum isa isa = ISA_AVX2;
    assert_ptr_equal(kernels_select(ISA_SCALAR), &kernels_scalar);
    assert_int_equal(kernels_select(ISA_AVX512)->isa, kernels_best_isa());
    for (enum isa at_most = ISA_SCALAR; at_most <= ISA_AVX512; at_most++) {
        const struct kernels *k = kernels_select(at_most);
        assert_true(k->isa <= at_most && k->isa <= kernels_best_isa());
        assert_int_equal(kernels_isa_named(k->name, &isa), 0);
        assert_int_equal(isa, k->isa);
#define KERNEL(result, kernel, arguments) assert_true(k->kernel != NULL);
#include "kernels/kernels.def"
    }
    static const char *const wrong[] = { "", "AVX2", "avx", "avx5122", "neon" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(kernels_isa_named(wrong[i], &isa), -1);
}

int main(void)
{
    return test_run_all("kernels_dispatch", test_dispatch);
}
