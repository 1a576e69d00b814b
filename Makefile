# Makefile - builds Driftline and its tests; one file, everything made goes under build/.
#
# make help lists the targets. On the command line: V=1 shows the commands, T=name picks tests,
# DRIFTLINE_PORTABLE=1 leaves out -march=native, DRIFTLINE_WITHOUT="faiss cuda" leaves out parts.
# What this machine has is found once by src/build/configure.sh, which writes build/config.mk.

# The version of the program. CHANGELOG.md has the same one on top; plugins are held to INDEX_ABI of src/core/index.h, not to this.
VERSION := 0.2.0
MODE ?= release
# long: what the short tier samples (failing allocations one by one, seeds) is run whole.
TIER ?= short
export DRIFTLINE_TEST_TIER := $(TIER)
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX := $(if $(filter default,$(origin CXX)),g++,$(CXX))
# The baselines are built with these in every mode, the fuzzers too.
CONFIGURE := CC="$(CC)" CXX="$(CXX)" src/build/configure.sh

ifneq ($(filter $(MODE),fuzz asan),)
CC := clang
CXX := clang++
endif
# Both save a developer minutes, and neither is needed: a faster linker, and results of the compiler kept from build to build.
FAST_LINKER := $(or $(and $(shell command -v mold),-fuse-ld=mold),$(and $(shell command -v ld.lld),-fuse-ld=lld))
CCACHE := $(if $(shell command -v ccache),ccache )

OUT := build/$(MODE)
MAKEFLAGS += --no-builtin-rules --no-print-directory
# All processors, unless the command line says otherwise.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# Goals that only print, fetch or remove must not set off an installation.
UNCONFIGURED := help deps deps-test deps-lint baselines clean format run bench aa-study figures fuzz asan tsan ubsan sanitize \
                nightly coverage install uninstall dist deb
GOALS := $(or $(MAKECMDGOALS),all)
# Each goal installs what it needs: packages by group, as src/build/deps.sh lists them.
GROUPS = build $(if $(filter test quick prove test-sanitized build-tests test-plugin lint-change,$(GOALS)),test) \
         $(if $(filter test build-tests,$(GOALS)),$(SCRIPT_NEEDS)) \
         $(if $(filter lint lint-change fuzz-run,$(GOALS))$(filter asan,$(MODE)),lint)
ifneq ($(filter-out $(UNCONFIGURED),$(GOALS)),)
include build/config.mk
endif

build/config.mk: FORCE
	@$(CONFIGURE) $(GROUPS)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 17

# ---------------------------------------------------------------------------------------- flags

PORTABLE := $(filter-out 0,$(DRIFTLINE_PORTABLE))
ARCH := $(if $(PORTABLE),-march=x86-64-v2,-march=native)
WARN := -Wall -Wextra -Wshadow -Wconversion -Wpointer-arith -Werror
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes

MODE_release := -O3
# For gdb, valgrind and perf.
MODE_debug := -O0 -g3 -fno-omit-frame-pointer
# -O1: the compiler takes half the time of -O2. clang knows more undefined behaviour than gcc: an offset added to NULL, for one.
MODE_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
             -D__SANITIZE_ADDRESS__
MODE_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread
MODE_coverage := -O0 --coverage
MODE_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
             -fno-sanitize-recover=undefined
MODE_FLAGS := $(MODE_$(MODE))

INCLUDES := -I. -I$(OUT)/include
# POSIX and mmap's flags for all; a file that needs more of the system defines _GNU_SOURCE itself.
CPPFLAGS_ALL = $(INCLUDES) -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE $(DEP_CFLAGS) $(if $(CUDA_LIBRARY),-DHAVE_CUDA) $(CPPFLAGS)
# A product is rounded before it is added, by every compiler and as on a device (kernels/cuda); so gcc does for -std=c11.
CFLAGS_ALL = -std=c11 -ffp-contract=off $(MODE_FLAGS) $(ARCH) -g $(WARN_C) $(CFLAGS)
# The shims compile the baselines' headers, which load unaligned floats and copy nothing from NULL: theirs, and harmless here.
MODE_CXX_asan := -fno-sanitize=alignment,nonnull-attribute,vptr,pointer-overflow
CXXFLAGS_ALL = -std=c++17 $(MODE_FLAGS) $(MODE_CXX_$(MODE)) $(ARCH) -g $(WARN) $(CXXFLAGS)
LDFLAGS_ALL = $(MODE_FLAGS) -rdynamic $(FAST_LINKER) $(LDFLAGS)
LIBS = $(DEP_LIBS) $(if $(filter release,$(MODE)),$(RELEASE_LIBS),$(SHARED_LIBS)) -ldl -lpthread -lm
# The program looks beside itself for the baselines' libraries, for there `make install` puts them. PACKAGED=1: only there.
comma := ,
PROGRAM_LIBS = -Wl,-rpath,'$$ORIGIN' $(if $(PACKAGED),$(filter-out -Wl$(comma)-rpath$(comma)%,$(LIBS)),$(LIBS))

# Each instruction set in its own file, whatever -march says. The oracle is neither vectorised nor contracted.
# Plain where a sanitizer makes them several times slower, or clang needs minutes to instrument them, for their tests have
# arrays that end at an unreadable page; but not in the long tier. Plain in coverage and debug, too, where gcc's intrinsics
# without -O are macros that convert with a warning.
KERNELS_PLAIN := $(filter fuzz coverage debug $(if $(filter long,$(TIER)),,asan tsan),$(MODE))
KERNEL_CFLAGS := -std=c11 -ffp-contract=off $(if $(KERNELS_PLAIN),-O2,$(MODE_FLAGS)) -g -march=x86-64 $(WARN_C)
KERNEL_scalar := -fno-tree-vectorize -fno-tree-slp-vectorize
KERNEL_avx2 := -mavx2 -mfma -mf16c -mpopcnt -mbmi -mbmi2
KERNEL_avx512 := $(KERNEL_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi \
                 -mavx512vnni -mavx512vpopcntdq
kernel_flags = $(foreach set,scalar avx2 avx512,$(if $(filter kernels/$(set)%,$(1)),$(KERNEL_$(set))))

# -------------------------------------------------------------------------------------- sources

# Files of a kind under folders, at any depth.
find = $(sort $(shell find $(1) -name '*.$(2)' 2>/dev/null))
KERNEL_SOURCES := $(filter-out kernels/cuda/%,$(call find,kernels,c))
CUDA_SOURCES := $(wildcard kernels/cuda/*.cu)
# Opened at run time, so that the program starts where there is no GPU.
CUDA_LIBRARY := $(if $(and $(NVCC),$(CUDA_SOURCES)),build/libdriftline_cuda.so)
# Opened at run time, too: run --mpi.
MPI_LIBRARY := $(if $(and $(MPI_CFLAGS),$(wildcard src/cluster/mpi/library.c)),build/libdriftline_mpi.so)
# The same kernels for the processor, for tests; the thread sanitizer does not follow its fibers.
EMULATED_CUDA := $(if $(HAVE_CXX),$(if $(filter tsan fuzz,$(MODE)),,$(OUT)/libdriftline_cuda_emulated.so))
# algorithms/skeleton is copied by `./harness new` and is itself a method, so it is built like one.
SOURCES := $(wildcard kernels/cuda/*.c) $(filter-out src/cluster/mpi/%,$(call find,src algorithms,c))
CXX_SOURCES := $(if $(HAVE_CXX),$(call find,algorithms,cc))

# A method whose library is not there is left out whole; registry.def asks for the same macro.
ifndef HAVE_FAISS
SOURCES := $(filter-out algorithms/faiss/%,$(SOURCES))
CXX_SOURCES := $(filter-out algorithms/faiss/%,$(CXX_SOURCES))
endif
ifndef HAVE_HNSWLIB
SOURCES := $(filter-out algorithms/hnswlib/%,$(SOURCES))
CXX_SOURCES := $(filter-out algorithms/hnswlib/%,$(CXX_SOURCES))
endif
ifndef HAVE_USEARCH
SOURCES := $(filter-out algorithms/usearch/%,$(SOURCES))
CXX_SOURCES := $(filter-out algorithms/usearch/%,$(CXX_SOURCES))
endif
# A posting store whose library is not there.
ifndef HAVE_ROCKSDB
SOURCES := $(filter-out algorithms/common/postings/rocksdb%,$(SOURCES))
endif

objects = $(patsubst %,$(OUT)/obj/%.o,$(1))
MAIN := $(call objects,$(wildcard src/cli/main.c))
OBJECTS := $(call objects,$(KERNEL_SOURCES) $(SOURCES) $(CXX_SOURCES))
# Archives of C++ libraries, such as RocksDB, need the linker of C++ too.
LINK = $(if $(HAVE_CXX),$(CXX),$(CC))

# ---------------------------------------------------------------------------------------- build

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) '$(2)')

# The reference client of the method `external`, compiled as a stranger would compile it.
EXTERNAL_CLIENT := $(if $(wildcard configs/examples/external/client.c),build/external-client)

## all: the program, build/driftline; MODE=debug: build/debug/driftline, for gdb, valgrind and perf
all: $(if $(filter release,$(MODE)),build/driftline,$(OUT)/driftline) $(CUDA_LIBRARY) $(MPI_LIBRARY) $(EXTERNAL_CLIENT)

build/external-client: configs/examples/external/client.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -O2 -o $@ $<

build/driftline: build/release/driftline
	$(Q)ln -sfn release/driftline $@

# The program names its version and commit; in the library, for tests, stamp.c takes their place.
STAMPED := $(filter-out $(call objects,src/core/stamp/stamp.c),$(OBJECTS)) $(OUT)/build_stamp.o
$(OUT)/driftline: $(STAMPED) $(OUT)/link-flags
	$(if $(MAIN),,$(error src/cli/main.c is not there))
	$(call say,LINK,$@)
	$(Q)$(LINK) $(LDFLAGS_ALL) -o $@ $(STAMPED) $(PROGRAM_LIBS)

# Link-time optimisation would copy the text into other objects.
$(OUT)/build_stamp.o: $(OUT)/build_stamp.c $(OUT)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fno-lto -MMD -MP -c -o $@ $<

$(call objects,$(KERNEL_SOURCES)): $(OUT)/obj/%.c.o: %.c $(OUT)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE)$(CC) $(CPPFLAGS_ALL) $(KERNEL_CFLAGS) $(call kernel_flags,$<) -MMD -MP -c -o $@ $<

# Texts that the program carries, as string literals to be included.
EMBEDDED := $(patsubst %,$(OUT)/include/%.inc,$(wildcard src/report/page.css src/report/page.js))
GENERATED := $(OUT)/include/build_info.h $(EMBEDDED)

$(EMBEDDED): $(OUT)/include/%.inc: % Makefile
	@sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' $< | { $(write_if_changed); }

$(OUT)/obj/%.c.o: %.c $(OUT)/flags | $(GENERATED)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(OUT)/obj/%.cc.o: %.cc $(OUT)/flags | $(GENERATED)
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CCACHE)$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<

## cuda: the kernels for a GPU (where nvcc is), and the same for the processor, which the tests run
cuda: $(CUDA_LIBRARY) $(EMULATED_CUDA)

# For every GPU of the last ten years nvcc knows, so that a build outlives the card it was made beside.
CUDA_FLAGS := -O3 -std=c++17 -arch=all-major -I. -Xcompiler -fPIC,-Wall,-Wextra
CUDA_OBJECTS := $(patsubst %,build/cuda/%.o,$(CUDA_SOURCES))
# Neither library is unloaded: the C++ runtime and CUDA's leave memory behind if they are.
# cuBLAS is found where the toolkit of the build has it, too.
CUDA_LIBS = -L$(dir $(NVCC))../lib64 -lcublas -Xlinker -rpath,$(abspath $(dir $(NVCC))../lib64)
$(CUDA_OBJECTS): build/cuda/%.o: % $(wildcard kernels/cuda/*.h kernels/*.h) build/cuda/flags
	$(call say,NVCC,$<)
	$(Q)mkdir -p $(@D) && $(NVCC) $(CUDA_FLAGS) -c -o $@ $<

build/libdriftline_cuda.so: $(CUDA_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(NVCC) $(CUDA_FLAGS) -shared -Xlinker -z,nodelete -o $@ $^ $(CUDA_LIBS)

# RTLD_GLOBAL of its symbols is for Open MPI's own plugins.
build/libdriftline_mpi.so: $(wildcard src/cluster/mpi/*.c src/cluster/mpi/*.h) build/config.mk
	$(call say,CC,$@)
	$(Q)$(CC) -std=c11 -O2 -g -fPIC -fvisibility=hidden $(WARN_C) -I. -D_POSIX_C_SOURCE=200809L $(MPI_CFLAGS) \
	    -shared -Wl,-z,nodelete -o $@ $(filter %.c,$^) $(MPI_LIBS)

EMULATED_FLAGS = $(CXXFLAGS_ALL) -fPIC -fvisibility=hidden -Wno-unknown-pragmas -Wno-sign-conversion -DCUDA_EMULATED
# Not below obj, where lint reads the names that the program exports.
EMULATED_OBJECTS := $(patsubst %,$(OUT)/emulated/%.o,$(CUDA_SOURCES) $(wildcard kernels/cuda/emulated/*.cc))
$(EMULATED_OBJECTS): $(OUT)/emulated/%.o: % $(OUT)/flags
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(EMULATED_FLAGS) -MMD -MP -x c++ -c -o $@ $<

$(OUT)/libdriftline_cuda_emulated.so: $(EMULATED_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(MODE_FLAGS) -shared -Wl,-z,nodelete -o $@ $^

# Written only when they differ, so that what depends on them is rebuilt exactly then.
write_if_changed = mkdir -p $(@D) && cat >$@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# -march=native means another thing on another processor: hence the list of what it turns on.
define FLAGS_TEXT
$(shell $(CC) --version | head -n 1)
$(if $(CXX_SOURCES),$(shell $(CXX) --version | head -n 1))
$(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CXXFLAGS_ALL) $(KERNEL_CFLAGS)
native: $(shell $(CC) -march=native -Q --help=target 2>/dev/null | grep -E 'enabled|-march=|-mtune=' | cksum)
endef
$(OUT)/flags: export TEXT = $(FLAGS_TEXT)
$(OUT)/link-flags: export TEXT = $(LINK) $(LDFLAGS_ALL) $(PROGRAM_LIBS)
build/cuda/flags: export TEXT = $(NVCC) $(CUDA_FLAGS)
$(OUT)/flags $(OUT)/link-flags build/cuda/flags: FORCE
	@printf '%s\n' "$$TEXT" | { $(write_if_changed); }

define BUILD_INFO
/* build_info.h - how this program was built. Written by the Makefile. */
#define BUILD_COMPILER "$(shell $(CC) --version | head -n 1)"
#define BUILD_CFLAGS "$(strip -std=c11 $(MODE_FLAGS) $(ARCH) $(CFLAGS))"
#define BUILD_MODE "$(MODE)"
#define BUILD_PORTABLE $(if $(PORTABLE),1,0)
/* X(name, version, compiler, flags, widest SIMD in its code), one for each baseline compiled in; "" where it is ours */
#define BUILD_BASELINES(X) $(BASELINES_INFO)
/* X(path, sha256) of each library that they are loaded from */
#define BUILD_BASELINE_LIBRARIES(X) $(BASELINE_LIBRARIES)
/* X(name, why it is not in this build and what brings it) */
#define BUILD_MISSING(X) $(MISSING_PARTS)
endef
$(OUT)/include/build_info.h: export TEXT = $(BUILD_INFO)
$(OUT)/include/build_info.h: FORCE
	@printf '%s\n' "$$TEXT" | { $(write_if_changed); }

# Also in a clone that belongs to another user, whose Makefile this is, too.
GIT := git -c safe.directory='*'
# Not in build_info.h: a commit is to compile this alone, and to link the program again, but no test. COMMIT is in tarballs.
define BUILD_STAMP
/* build_stamp.c - the sources that this program was built from. Written by the Makefile. */
#include "src/core/stamp/stamp.h"
const struct build_stamp build_stamp = {
    .version = "$(VERSION)",
    .git_commit = "$(or $(file <COMMIT),$(shell $(GIT) rev-parse --verify -q HEAD 2>/dev/null))",
    .git_dirty = $(if $(wildcard COMMIT),0,$(shell test -z "$$($(GIT) status --porcelain -- Makefile harness src algorithms kernels 2>/dev/null)"; echo $$?)),
};
endef
$(OUT)/build_stamp.c: export TEXT = $(BUILD_STAMP)
$(OUT)/build_stamp.c: FORCE
	@printf '%s\n' "$$TEXT" | { $(write_if_changed); }

# ---------------------------------------------------------------------------------------- tests

# Below tests/unit, contract and recall, each test_*.c is a program. Other files there, and tests/support, are for all of them.
TEST_FILES := $(call find,tests/unit tests/contract tests/recall,c)
TEST_PROGRAMS := $(patsubst %.c,%,$(foreach file,$(TEST_FILES),$(if $(filter test_%,$(notdir $(file))),$(file))))
# The first take the place of system calls, so they are only in the test that wants that.
CRASH_HELP := $(wildcard tests/support/fault_disk*.c tests/contract/crash_*.c)
TEST_HELP := $(filter-out $(addsuffix .c,$(TEST_PROGRAMS)) $(CRASH_HELP),$(TEST_FILES) $(wildcard tests/support/*.c tests/run/*.c))
FUZZ_TARGETS := $(patsubst %.c,%,$(wildcard tests/fuzz/fuzz_*.c))
GOLDEN_TESTS := $(patsubst %/cmd.sh,%,$(wildcard tests/cli/golden/*/cmd.sh))
TEST_SCRIPTS := $(GOLDEN_TESTS) $(wildcard tests/cli/test_*.sh)
# The adversarial plugin is one of several files, built twice: a method that says it is exact is another one.
LIAR_FILES := $(wildcard tests/plugins/liar/*.c)
LIARS := $(OUT)/tests/plugins/liar.so $(OUT)/tests/plugins/liar-exact.so
CXX_PLUGINS := $(if $(HAVE_CXX),$(patsubst %.cc,$(OUT)/%.so,$(wildcard tests/plugins/*.cc)))
TEST_PLUGINS := $(patsubst %.c,$(OUT)/%.so,$(wildcard tests/plugins/*.c)) $(LIARS) $(CXX_PLUGINS)

# T=name: the tests with that in their path and, where it names a method, the contract for that one alone. T="name name": of each.
METHOD := $(strip $(foreach name,$(T),$(shell grep -rqsF '.name = "$(name)"' algorithms && echo $(name))))
chosen = $(strip $(if $(T),$(sort $(foreach name,$(T),$(foreach test,$(1),$(if $(findstring $(name),$(test)),$(test))))),$(1)))
CHOSEN_TESTS := $(sort $(call chosen,$(TEST_PROGRAMS)) $(if $(METHOD),$(filter tests/contract/%,$(TEST_PROGRAMS))))
CHOSEN_FUZZ := $(call chosen,$(FUZZ_TARGETS))
# The scripts run build/driftline, which is the release.
CHOSEN_SCRIPTS := $(if $(filter release,$(MODE)),$(call chosen,$(TEST_SCRIPTS)))
SCRIPT_NEEDS = $(sort $(shell sed -n 's/^\# Needs: //p' $(filter %.sh,$(CHOSEN_SCRIPTS)) /dev/null))
SANITIZED_TESTS := $(filter tests/unit/% tests/contract/%,$(CHOSEN_TESTS)) $(CHOSEN_FUZZ)
# One thread races with nothing: the thread sanitizer's short tier runs what speaks of threads.
ifeq ($(MODE)$(TIER)$(T),tsanshort)
SANITIZED_TESTS := $(filter tests/contract/%,$(CHOSEN_TESTS)) \
                   $(patsubst %.c,%,$(shell grep -liE 'thread|background' $(addsuffix .c,$(filter tests/unit/%,$(CHOSEN_TESTS)))))
endif

# cmocka's macros convert as they please, and few tests use the state that it passes to each.
$(OUT)/obj/tests/% build/lint/tests/%: private WARN_C += -Wno-conversion -Wno-sign-conversion -Wno-unused-parameter
# The code under test is as released; the tests themselves are compiled sooner.
$(OUT)/obj/tests/%: private MODE_FLAGS := $(patsubst -O3,-O1,$(MODE_FLAGS))

# Test binaries: one of all tests; one of the contract tests, so that who writes a method builds no others; and one of each test
# that takes the place of system calls, below apart/. Each test file is a program of its own, whose main() gets the test's name here.
APART_TESTS := tests/contract/test_crash $(addprefix tests/unit/,baselines/test_faiss_threads data/test_fetch_killed io/test_files \
                 io/test_io_ring io/test_read_queue run/test_load_clock sharded/test_histories spfresh/test_lost)
CONTRACT_TESTS := $(filter tests/contract/%,$(TEST_PROGRAMS))
# The crash test knows settings of our methods alone.
PLUGIN_TESTS := $(filter-out tests/contract/test_crash,$(CONTRACT_TESTS))
run_TESTS := $(filter-out tests/contract/%,$(TEST_PROGRAMS)) $(if $(filter fuzz,$(MODE)),,$(FUZZ_TARGETS))
run_TESTS := $(filter-out $(APART_TESTS),$(run_TESTS))
run-contract_TESTS := $(filter-out $(APART_TESTS),$(CONTRACT_TESTS))
TEST_BINARIES := $(addprefix $(OUT)/tests/,run run-contract $(APART_TESTS:tests/%=apart/%))
# The binary of a test; src/build/run-test.sh knows the same.
binary_of = $(OUT)/tests/$(if $(filter $(APART_TESTS),$(1)),$(1:tests/%=apart/%),$(if $(filter tests/contract/%,$(1)),run-contract,run))
test_binaries = $(sort $(foreach test,$(1),$(call binary_of,$(test))))
tests_of = $(or $($(notdir $(1))_TESTS),$(patsubst $(OUT)/tests/apart/%,tests/%,$(1)))
in_a_table = $(subst /,_,$(patsubst $(OUT)/obj/%.c.o,%,$@))
$(addprefix $(OUT)/obj/,$(addsuffix .c.o,$(TEST_PROGRAMS))): private CPPFLAGS_ALL += -Dmain=$(in_a_table)
ifneq ($(MODE),fuzz)
$(addprefix $(OUT)/obj/,$(addsuffix .c.o,$(FUZZ_TARGETS))): private CPPFLAGS_ALL += \
    -DLLVMFuzzerTestOneInput=$(in_a_table) -DLLVMFuzzerInitialize=$(in_a_table)_begin
endif

TEST_OBJECTS := $(call objects,$(TEST_HELP) tests/fuzz/replay.c) $(filter-out $(MAIN),$(OBJECTS))
$(OUT)/tests/apart/contract/test_crash: $(call objects,$(CRASH_HELP))
$(addprefix $(OUT)/tests/apart/unit/,data/test_fetch_killed spfresh/test_lost): $(call objects,$(wildcard tests/support/fault_disk*.c))
.SECONDEXPANSION:
$(TEST_BINARIES): $$(call objects,$$(addsuffix .c,$$(call tests_of,$$@))) $(TEST_OBJECTS) $(OUT)/link-flags src/build/test-table.sh
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && src/build/test-table.sh $(call tests_of,$@) >$@.c
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@.o $@.c
	$(Q)$(LINK) $(LDFLAGS_ALL) -o $@ $@.o $(filter %.o,$^) -lcmocka $(LIBS)

# libFuzzer has a main() of its own, so each target is a program there.
$(addprefix $(OUT)/,$(FUZZ_TARGETS)): $(OUT)/%: $(OUT)/obj/%.c.o $(filter-out $(MAIN),$(OBJECTS)) $(OUT)/link-flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(LIBS)

$(filter-out $(LIARS) $(CXX_PLUGINS),$(TEST_PLUGINS)): $(OUT)/%.so: %.c $(OUT)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -MMD -MP -o $@ $<

$(CXX_PLUGINS): $(OUT)/%.so: %.cc $(OUT)/flags
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -fPIC -shared -MMD -MP -o $@ $<

$(OUT)/tests/plugins/liar-exact.so: private CFLAGS_ALL += -DLIAR_EXACT
$(LIARS): $(LIAR_FILES) $(wildcard tests/plugins/liar/*.h src/core/*.h) $(OUT)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -o $@ $(LIAR_FILES)

# test_cxx_plugin runs the contract tests, so that it needs not build them.
build-tests: $(call test_binaries,$(CHOSEN_TESTS) $(CHOSEN_FUZZ)) $(TEST_PLUGINS) $(EMULATED_CUDA) $(EXTERNAL_CLIENT) \
    $(if $(filter %/test_cxx_plugin.sh,$(CHOSEN_SCRIPTS)),$(call test_binaries,$(PLUGIN_TESTS)))

## test: every test, a few minutes; T=divf for a part; V=1 shows the logs of those that pass, too
test: $(if $(CHOSEN_SCRIPTS),all) build-tests
	@exec src/build/run-tests.sh $(OUT) "$(METHOD)" $(CHOSEN_TESTS) $(CHOSEN_FUZZ) $(CHOSEN_SCRIPTS)

# Unit tests that took more than a second of a processor, by the last run where it has them.
SLOW_TESTS := $(filter $(TEST_PROGRAMS),$(shell awk '{ spent[$$1] = $$3 } END { for (job in spent) if (spent[job] > 1) print job }' \
                $(wildcard tests/times.txt $(OUT)/test-times) /dev/null))
QUICK_TESTS := $(filter-out $(SLOW_TESTS),$(filter tests/unit/%,$(TEST_PROGRAMS))) tests/contract/test_contract tests/contract/test_input
## quick: what finds most faults in a minute: the faster unit tests and the contract of one method, flat; T=divf for another
quick: $(call test_binaries,$(QUICK_TESTS)) $(TEST_PLUGINS)
	@src/build/run-tests.sh $(OUT) "$(or $(METHOD),flat)" $(QUICK_TESTS)
	@echo "left out: $(words $(filter tests/unit/%,$(SLOW_TESTS))) unit tests that took more than a second (build/release/test-times)," \
	    "the contract of other methods and its crash, fault and version tests, recall, corpora, command line: make test runs them"

## record-times: keeps the times of the last run for those who have not run the tests yet
record-times:
	@awk '$$2 >= 0.5' $(OUT)/test-times >tests/times.txt
	@git diff --stat -- tests/times.txt

## golden-record: records anew what tests/cli/golden print, and what documents show; T=cli/golden/help, T=cli/test_documents for one. Read the difference before a commit
golden-record: all
	@for test in $(call chosen,$(GOLDEN_TESTS)); do tests/cli/golden.sh --record $$test; done
	@$(if $(call chosen,tests/cli/test_documents.sh),bash tests/cli/test_documents.sh --record || true)
	@git diff --stat -- tests/cli/golden README.md docs

## test-plugin: the contract tests of the method in a plugin, SO=./x.so; SETTINGS="PARAMS:KNOBS:FLAGS ..." in place of its defaults
test-plugin: $(call test_binaries,$(PLUGIN_TESTS))
	@[ -f "$(SO)" ] || { echo 'test-plugin: SO="$(SO)" is not a file; name the plugin: make test-plugin SO=./x.so' >&2; exit 2; }
	@DRIFTLINE_TEST_PLUGIN=$(abspath $(SO)) $(if $(SETTINGS),DRIFTLINE_TEST_SETTINGS='$(SETTINGS)') exec src/build/run-tests.sh $(OUT) "$(METHOD)" $(PLUGIN_TESTS)

## prove: unit, contract and recall tests under perl's prove, by their TAP output; T=divf for a part
prove: build-tests
	@DRIFTLINE_ROOT=$(CURDIR) $(if $(METHOD),DRIFTLINE_TEST_METHOD='$(METHOD)') CMOCKA_MESSAGE_OUTPUT=TAP \
	    prove -j$(shell nproc) -e 'src/build/run-test.sh $(OUT)' $(addsuffix .c,$(CHOSEN_TESTS))

## asan: unit, contract and fuzz-corpus tests under the address and the undefined-behaviour sanitizer
## tsan: the same under the thread sanitizer, those where threads meet
## ubsan: is asan, which looks for both
# OpenBLAS and OpenMP, which FAISS works with, are built without the thread sanitizer: it does not see how
# their threads wait for each other. Our own threads are started as ever.
tsan: export OMP_THREAD_LIMIT := 1
tsan: export OPENBLAS_NUM_THREADS := 1
asan tsan:
	@$(MAKE) MODE=$@ test-sanitized

ubsan: asan

## sanitize: asan and tsan, one after another, at most half an hour; TIER=long for all that they can do
sanitize:
	@failed=; for mode in asan tsan; do $(MAKE) $$mode || failed="$$failed $$mode"; done; \
	    if [ -n "$$failed" ]; then echo "sanitize: FAILED:$$failed; each lists its failures above"; exit 1; fi; \
	    echo "sanitize: asan and tsan passed"

## nightly: the sanitizers' long tier, ten thousand seeds of crashes, an hour of fuzzing a kind of input
nightly:
	@src/build/nightly.sh

# Long enough for the slowest of them.
test-sanitized: export DRIFTLINE_TEST_TIMEOUT ?= $(if $(filter long,$(TIER)),14400,1200)
test-sanitized: $(call test_binaries,$(SANITIZED_TESTS)) $(TEST_PLUGINS) $(EMULATED_CUDA) $(EXTERNAL_CLIENT)
	@exec src/build/run-tests.sh $(OUT) "$(METHOD)" $(SANITIZED_TESTS)

FUZZ_SECONDS ?= 60
## fuzz: every fuzz target with clang's libFuzzer; T=idx for one, FUZZ_SECONDS=60 for each
fuzz:
	@$(MAKE) MODE=fuzz fuzz-run

fuzz-run: $(addprefix $(OUT)/,$(CHOSEN_FUZZ))
	@src/build/run-fuzz.sh $(OUT) $(FUZZ_SECONDS) $(CHOSEN_FUZZ)

## coverage: which share of each folder's lines unit and contract tests reach
coverage:
	@rm -rf build/coverage/obj
	@$(MAKE) MODE=coverage test-sanitized
	@src/build/coverage.sh build/coverage

# ---------------------------------------------------------------------------------- lint, format

C_FILES := $(KERNEL_SOURCES) $(SOURCES) $(call find,tests,c)
FORMATTED := $(foreach ext,c h cc cu,$(call find,kernels src algorithms tests,$(ext)))
SHELL_FILES := harness .ci/run $(wildcard src/build/*.sh configs/*/*.sh configs/*/*.sbatch tests/cli/*.sh tests/*.sh) \
               $(shell grep -ls "^#!/bin/sh" datasets/recipes/*)
LINT_CPPFLAGS = -I. -Ibuild/release/include $(filter-out $(INCLUDES),$(CPPFLAGS_ALL))

## lint: the format, the shell scripts, the order of folders; a second compiler's warnings are asan's, which is built with clang
lint: build/lint/format.ok build/lint/shell.ok layout

# In seconds, before each commit.
CHANGED := $(if $(filter lint-change,$(GOALS)),$(shell src/build/changed.sh))
CHANGED_SOURCES := $(if $(CHANGED),$(filter $(C_FILES),$(shell src/build/changed.sh --sources)))
CHANGED_FORMATTED := $(filter $(FORMATTED),$(CHANGED))
CHANGED_SHELL := $(filter $(SHELL_FILES),$(CHANGED))
## lint-change: lint of what differs from the last landed commit, with clang's warnings; DRIFTLINE_BASE=COMMIT: from that one
lint-change: $(patsubst %,build/lint/%.ok,$(CHANGED_SOURCES)) layout
	$(if $(CHANGED_FORMATTED),$(Q)src/build/check-format.sh $(CHANGED_FORMATTED))
	$(if $(CHANGED_SHELL),$(Q)shellcheck -x $(CHANGED_SHELL))
	@echo "lint-change: $(words $(CHANGED)) files, $(words $(CHANGED_SOURCES)) of them compiled by clang"

# Who may call whom is read from the objects of the release.
layout: all
	@src/build/check-manners.sh
	@src/build/layout.py build/release/obj

build/lint/%.c.ok: %.c | $(GENERATED:$(OUT)/%=build/release/%)
	$(call say,CLANG,$<)
	$(Q)mkdir -p $(@D) && clang -fsyntax-only $(LINT_CPPFLAGS) -std=c11 \
	    $(if $(filter kernels/%,$<),$(call kernel_flags,$<),-march=native) $(WARN_C) -MMD -MP -MT $@ -MF $(@:.ok=.d) $< && touch $@

build/lint/format.ok: $(FORMATTED) .clang-format
	$(call say,STYLE,$(words $(FORMATTED)) files)
	$(Q)mkdir -p $(@D) && src/build/check-format.sh $(FORMATTED) && touch $@

build/lint/shell.ok: $(SHELL_FILES)
	$(call say,SHELL,$(words $(SHELL_FILES)) files)
	$(Q)mkdir -p $(@D) && shellcheck -x $(SHELL_FILES) && touch $@

## format: rewrites the sources as .clang-format says; F=file for one
format:
	@src/build/deps.sh lint
	@clang-format -i $(or $(F),$(FORMATTED))

# --------------------------------------------------------------------------------------- install

PREFIX ?= /usr/local
INSTALL = PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' src/build/install.sh
## install: copies what make built to PREFIX (/usr/local), below DESTDIR if it is given; uninstall removes it
# Builds nothing again, as `sudo make install` has another home folder and another cache.
install:
	@[ -e build/driftline ] || $(MAKE) all
	@$(INSTALL)
uninstall:
	@$(INSTALL) --remove

## dist: build/driftline-VERSION.tar.gz, the sources of the last commit
dist:
	@mkdir -p build
	$(Q)git archive --prefix=driftline-$(VERSION)/ --add-virtual-file=driftline-$(VERSION)/COMMIT:$$(git rev-parse HEAD) \
	    -o build/driftline-$(VERSION).tar.gz HEAD
	@echo "build/driftline-$(VERSION).tar.gz"

## deb: build/driftline_VERSION_ARCH.deb, for this Debian and every processor with SSE4.2, of the last commit
deb: dist
	@src/build/deb.sh $(VERSION)

# ----------------------------------------------------------------------------------------- usage

CONFIG ?= configs/drift_mnist_fashion.lua
## docs: the documents that are generated from tables in the code
docs: all
	$(Q)build/driftline docs docs

## run: one experiment; CONFIG=configs/NAME.lua
run:
	@./harness $(CONFIG)

## bench: each kernel against scalar and against the machine's limit
bench:
	@./harness bench kernels

PAIRS ?= 20
## aa-study: how often compare is wrong on this machine, and what it sees; PAIRS=20
aa-study:
	@src/build/aa-study.sh $(PAIRS)

## frozen: whether the papers' configs, in their quick form, find what tests/frozen.tsv has; C="configs/a.lua" for some
## frozen-record: writes the lines of tests/frozen.tsv anew; twice the time
frozen: all
	@src/build/frozen.py $(C)
frozen-record: all
	@src/build/frozen.py --record $(C)

ROUNDS ?= 10
## bench-load: what an operation of w:mix costs the load itself, by a method that does nothing
bench-load: build/driftline $(OUT)/tests/plugins/empty.so
	@src/build/bench-load.sh $^

## bench-paired: the speed of this tree beside BASE's in alternating rounds; BASE=COMMIT C="configs/targets/divf.lua" ROUNDS=10
bench-paired:
	@src/build/bench-paired.sh "$(BASE)" $(ROUNDS) $(C)

## figures: draws the figures of every result again
figures:
	@./harness plot $(or $(wildcard results/*/result.json),$(error no result yet; make run writes one))

## deps: installs the missing packages that the build needs; deps-test those of all tests, deps-lint those of lint
deps:
	@src/build/deps.sh build
deps-test:
	@src/build/deps.sh test schema network slurm browser
deps-lint:
	@src/build/deps.sh lint

## baselines: builds FAISS, fetches hnswlib and usearch, and says how they were built
baselines:
	@rm -f build/config.mk build/.built
	@$(CONFIGURE) build
	@sed -n 's/^BASELINES_INFO := *//p; s/^MISSING_PARTS := *//p' build/config.mk | sed 's/) /)\n/g'

## clean: removes build/; the cache of baselines and data stays
clean:
	@rm -rf build

.PHONY: FORCE help all cuda docs install uninstall dist deb build-tests test test-plugin quick record-times lint-change layout prove golden-record asan tsan ubsan sanitize nightly test-sanitized fuzz fuzz-run coverage lint format run bench aa-study frozen frozen-record bench-load bench-paired \
        figures deps deps-test deps-lint baselines clean
FORCE:

-include $(OBJECTS:.o=.d) $(OUT)/build_stamp.d $(EMULATED_OBJECTS:.o=.d) $(patsubst %,$(OUT)/obj/%.c.d,$(TEST_PROGRAMS) $(FUZZ_TARGETS) tests/fuzz/replay) \
         $(patsubst %.c,$(OUT)/obj/%.c.d,$(TEST_HELP) $(CRASH_HELP)) $(TEST_PLUGINS:.so=.d) \
         $(patsubst %,build/lint/%.d,$(C_FILES))
