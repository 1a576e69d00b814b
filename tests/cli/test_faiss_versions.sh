#!/bin/bash
# test_faiss_versions.sh - the shims compile with the headers of FAISS that this build uses, and with a copy of them changed
# in the two ways in which later versions differ: idx_t is in the namespace (from 1.7.4), and codes, lists and links are
# MaybeOwnedVector (from 1.11). That does not test a later FAISS. Also what is said of a FAISS_PREFIX.
# shellcheck disable=SC2016,SC2034  # conditions given to check are evaluated there
set -u

. tests/cli/checks.sh
out=$work/out
prefix=$(sed -n 's/.* -isystem \([^ ]*faiss[^ ]*\)\/include.*/\1/p' build/config.mk)
[ -n "$prefix" ] || { echo "ok # SKIP built without FAISS"; exit 0; }

compile() { # PREFIX
    local shim
    for shim in algorithms/faiss/*.cc; do
        g++ -std=c++17 -Wall -Wextra -Werror -I. -isystem "$1/include" -fsyntax-only "$shim" || return 1
    done
}

compile "$prefix" >"$out" 2>&1
status=$?
check "the shims compile with this FAISS" '[ $status = 0 ]'

mkdir "$work/later" "$work/later/lib"
cp -r "$prefix/include" "$work/later/"
headers=$work/later/include/faiss
find "$headers" -name '*.h' -exec sed -i \
    -e '/using idx_t = Index::idx_t;/d' -e '/typedef Index::idx_t idx_t;/d' -e '/^    using idx_t = int64_t;/d' \
    -e '/using idx_t = typename/d' -e 's/typename IndexT::idx_t/idx_t/g' -e 's/Index::idx_t/idx_t/g' \
    -e 's/std::vector<uint8_t> \(codes\|xb\);/MaybeOwnedVector<uint8_t> \1;/' \
    -e 's/std::vector<storage_idx_t> neighbors;/MaybeOwnedVector<storage_idx_t> neighbors;/' \
    -e 's/std::vector<std::vector<\(uint8_t\|idx_t\)>> \(codes\|ids\);/std::vector<MaybeOwnedVector<\1>> \2;/' \
    -e 's/FAISS_VERSION_MINOR 7/FAISS_VERSION_MINOR 12/' {} +
sed -i 's/^namespace faiss {/#include <cstdint>\n#include "faiss\/impl\/maybe_owned_vector.h"\nnamespace faiss {\nusing idx_t = int64_t;/' \
    "$headers/MetricType.h"
find "$headers/impl" "$headers/invlists" -name '*.h' -exec sed -i '0,/^#include/s//#include <faiss\/MetricType.h>\n#include/' {} +
cat >"$headers/impl/maybe_owned_vector.h" <<'H'
#pragma once
#include <cstddef>
#include <vector>
namespace faiss {
template <typename T> struct MaybeOwnedVector { // owns its elements, or views those of a mapped file
    std::vector<T> owned_data;
    const T *c_ptr = nullptr;
    size_t c_size = 0;
    const T *data() const { return c_ptr; }
    T *data() { return owned_data.data(); }
    size_t size() const { return c_size; }
    T &operator[](size_t i) { return owned_data[i]; }
    const T &operator[](size_t i) const { return c_ptr[i]; }
    void resize(size_t n) { owned_data.resize(n); }
};
} // namespace faiss
H
compile "$work/later" >"$out" 2>&1
status=$?
check "and with headers changed as later ones are" '[ $status = 0 ]'

said() { # MINOR PATCH: what baseline-faiss.sh says of a FAISS_PREFIX of that version
    sed -i -e "s/\(FAISS_VERSION_MINOR\) .*/\1 $1/" -e "s/\(FAISS_VERSION_PATCH\) .*/\1 $2/" "$headers/Index.h"
    FAISS_PREFIX=$work/later src/build/baseline-faiss.sh >"$out" 2>"$work/err"
    status=$?
}
for library in faiss faiss_c; do : >"$work/later/lib/lib$library.so"; done
said 12 0
check "the version of a FAISS_PREFIX is printed" \
    '[ $status = 0 ] && [ "$(cat $out)" = "$work/later" ] && grep -q "FAISS 1.12.0, by FAISS_PREFIX" "$work/err"'
said 7 2
check "one that is too old is refused" '[ $status != 0 ] && grep -q "1.7.2.*1.7.3" "$work/err"'
said 16 0
check "one that is later than those known is used, with a warning" \
    '[ $status = 0 ] && grep -q "1.16.0.*1.15" "$work/err"'

exit $failed
