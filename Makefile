# Makefile - builds Driftline and its tests; one file, everything made goes under build/.
#
# make help lists the targets. On the command line: V=1 shows the commands, T=name picks tests,
# DRIFTLINE_PORTABLE=1 leaves out -march=native, DRIFTLINE_WITHOUT="faiss cuda" leaves out parts.
# What this machine has is found once by src/build/configure.sh, which writes build/config.mk.

MODE ?= release
# long: what the short tier samples (failing allocations one by one, seeds) is run whole.
TIER ?= short
export DRIFTLINE_TEST_TIER := $(TIER)
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX := $(if $(filter default,$(origin CXX)),g++,$(CXX))
# The peers are built with these in every mode, the fuzzers too.
CONFIGURE := CC="$(CC)" CXX="$(CXX)" src/build/configure.sh

ifneq ($(filter $(MODE),fuzz ubsan),)
CC := clang
CXX := clang++
endif

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
UNCONFIGURED := help deps deps-test deps-lint peers clean format run bench aa-study figures fuzz asan tsan ubsan sanitize \
                nightly coverage
GOALS := $(or $(MAKECMDGOALS),all)
GROUPS := build $(if $(filter test test-sanitized build-tests lint,$(GOALS)),test) \
          $(if $(filter lint fuzz-run,$(GOALS))$(filter ubsan,$(MODE)),lint)
ifneq ($(filter-out $(UNCONFIGURED),$(GOALS)),)
include build/config.mk
endif

build/config.mk: FORCE
	@$(CONFIGURE) $(GROUPS)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 14

# ---------------------------------------------------------------------------------------- flags

PORTABLE := $(filter-out 0,$(DRIFTLINE_PORTABLE))
ARCH := $(if $(PORTABLE),-march=x86-64-v2,-march=native)
WARN := -Wall -Wextra -Wshadow -Wconversion -Wpointer-arith -Werror
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes

MODE_release := -O3
MODE_asan := -O2 -fno-omit-frame-pointer -fsanitize=address
MODE_tsan := -O2 -fno-omit-frame-pointer -fsanitize=thread
# clang's, which knows more of them than gcc's: an offset added to NULL, for one.
MODE_ubsan := -O2 -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=undefined
MODE_coverage := -O0 --coverage
MODE_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
             -fno-sanitize-recover=undefined
MODE_FLAGS := $(MODE_$(MODE))

INCLUDES := -I. -Isrc -I$(OUT)/include
# POSIX and mmap's flags for all; a file that needs more of the system defines _GNU_SOURCE itself.
CPPFLAGS_ALL = $(INCLUDES) -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE $(DEP_CFLAGS) $(if $(CUDA_LIBRARY),-DHAVE_CUDA) $(CPPFLAGS)
CFLAGS_ALL = -std=c11 $(MODE_FLAGS) $(ARCH) -g $(WARN_C) $(CFLAGS)
# The shims compile the peers' headers, which load unaligned floats and copy nothing from NULL: theirs, and harmless here.
MODE_CXX_ubsan := -fno-sanitize=alignment,nonnull-attribute,vptr,pointer-overflow
CXXFLAGS_ALL = -std=c++17 $(MODE_FLAGS) $(MODE_CXX_$(MODE)) $(ARCH) -g $(WARN) $(CXXFLAGS)
LDFLAGS_ALL = $(MODE_FLAGS) -rdynamic $(LDFLAGS)
LIBS = $(DEP_LIBS) -ldl -lpthread -lm

# Each instruction set in its own file, whatever -march says. The oracle is neither vectorised nor contracted.
# Plain where a sanitizer makes them several times slower, or clang needs minutes to instrument them, for their tests have
# arrays that end at an unreadable page; but not in the long tier. Plain in coverage, too, where gcc's intrinsics
# without -O are macros that convert with a warning.
KERNELS_PLAIN := $(filter fuzz coverage ubsan $(if $(filter long,$(TIER)),,asan tsan),$(MODE))
KERNEL_CFLAGS := -std=c11 $(if $(KERNELS_PLAIN),-O2,$(MODE_FLAGS)) -g -march=x86-64 $(WARN_C)
KERNEL_scalar := -fno-tree-vectorize -fno-tree-slp-vectorize -ffp-contract=off
KERNEL_avx2 := -mavx2 -mfma -mf16c -mpopcnt -mbmi -mbmi2 -ffp-contract=off
KERNEL_avx512 := $(KERNEL_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi \
                 -mavx512vnni -mavx512vpopcntdq
kernel_flags = $(foreach set,scalar avx2 avx512,$(if $(filter $(set)%,$(notdir $(1))),$(KERNEL_$(set))))

# -------------------------------------------------------------------------------------- sources

KERNEL_SOURCES := $(wildcard kernels/*.c)
CUDA_SOURCES := $(wildcard kernels/cuda/*.cu)
# Opened at run time, so that the program starts where there is no GPU.
CUDA_LIBRARY := $(if $(and $(NVCC),$(CUDA_SOURCES)),build/libdriftline_cuda.so)
# algorithms/skeleton is copied by `./harness new` and is itself a method, so it is built like one.
SOURCES := $(wildcard kernels/cuda/*.c src/core/*.c src/data/*.c src/harness/*.c \
                      algorithms/*.c algorithms/*/*.c algorithms/*/*/*.c)
CXX_SOURCES := $(if $(HAVE_CXX),$(wildcard algorithms/*/*.cc))

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
SOURCES := $(filter-out algorithms/common/posting_rocksdb%,$(SOURCES))
endif

objects = $(patsubst %,$(OUT)/obj/%.o,$(1))
MAIN := $(call objects,$(wildcard src/harness/main.c))
OBJECTS := $(call objects,$(KERNEL_SOURCES) $(SOURCES) $(CXX_SOURCES))
LINK = $(if $(CXX_SOURCES),$(CXX),$(CC))

# ---------------------------------------------------------------------------------------- build

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) '$(2)')

## all: the program, build/driftline
all: build/driftline $(CUDA_LIBRARY)

build/driftline: build/release/driftline
	$(Q)ln -sfn release/driftline $@

$(OUT)/driftline: $(OBJECTS)
	$(if $(MAIN),,$(error src/harness/main.c is not there))
	$(call say,LINK,$@)
	$(Q)$(LINK) $(LDFLAGS_ALL) -o $@ $(OBJECTS) $(LIBS)

$(OUT)/libdriftline.a: $(filter-out $(MAIN),$(OBJECTS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(call objects,$(KERNEL_SOURCES)): $(OUT)/obj/%.c.o: %.c $(OUT)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(KERNEL_CFLAGS) $(call kernel_flags,$<) -MMD -MP -c -o $@ $<

$(OUT)/obj/%.c.o: %.c $(OUT)/flags | $(OUT)/include/build_info.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(OUT)/obj/%.cc.o: %.cc $(OUT)/flags | $(OUT)/include/build_info.h
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<

# For every GPU of the last ten years nvcc knows, so that a build outlives the card it was made beside.
build/libdriftline_cuda.so: $(CUDA_SOURCES) $(wildcard kernels/cuda/*.h kernels/*.h) build/config.mk
	$(call say,NVCC,$@)
	$(Q)$(NVCC) -O3 -std=c++17 -arch=all-major -I. -Xcompiler -fPIC,-Wall,-Wextra -shared -o $@ $(CUDA_SOURCES)

# Written only when they differ, so that what depends on them is rebuilt exactly then.
write_if_changed = mkdir -p $(@D) && cat >$@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# -march=native means another thing on another processor: hence the list of what it turns on.
define FLAGS_TEXT
$(shell $(CC) --version | head -n 1)
$(if $(CXX_SOURCES),$(shell $(CXX) --version | head -n 1))
$(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CXXFLAGS_ALL) $(KERNEL_CFLAGS)
$(LDFLAGS_ALL) $(LIBS)
native: $(shell $(CC) -march=native -Q --help=target 2>/dev/null | grep -E 'enabled|-march=|-mtune=' | cksum)
endef
$(OUT)/flags: export TEXT = $(FLAGS_TEXT)
$(OUT)/flags: FORCE
	@printf '%s\n' "$$TEXT" | { $(write_if_changed); }

define BUILD_INFO
/* build_info.h - how this program was built. Written by the Makefile. */
#define BUILD_COMPILER "$(shell $(CC) --version | head -n 1)"
#define BUILD_CFLAGS "$(strip -std=c11 $(MODE_FLAGS) $(ARCH) $(CFLAGS))"
#define BUILD_MODE "$(MODE)"
#define BUILD_PORTABLE $(if $(PORTABLE),1,0)
#define BUILD_GIT_COMMIT "$(shell git rev-parse --verify -q HEAD 2>/dev/null)"
/* 1 where the sources differ from that commit. */
#define BUILD_GIT_DIRTY $(shell test -z "$$(git status --porcelain -- Makefile harness src algorithms kernels 2>/dev/null)"; echo $$?)
/* X(name, version, compiler, flags, widest SIMD in its code), one for each peer compiled in; "" where it is ours */
#define BUILD_PEERS(X) $(PEERS_INFO)
/* X(path, sha256) of each library that they are loaded from */
#define BUILD_PEER_LIBRARIES(X) $(PEER_LIBRARIES)
/* X(name, why it is not in this build and what brings it) */
#define BUILD_MISSING(X) $(MISSING_PARTS)
endef
$(OUT)/include/build_info.h: export TEXT = $(BUILD_INFO)
$(OUT)/include/build_info.h: FORCE
	@printf '%s\n' "$$TEXT" | { $(write_if_changed); }

# ---------------------------------------------------------------------------------------- tests

# tests/KIND/test_*.c are programs; where a kind has none, its files make one program named after it.
# Any other file there, or in tests/ itself, is help that the programs may use.
TEST_KINDS := unit contract recall
kind_files = $(wildcard tests/$(1)/*.c)
kind_programs = $(or $(patsubst %.c,%,$(wildcard tests/$(1)/test_*.c)),$(if $(kind_files),tests/$(1)/$(1)))
TEST_PROGRAMS := $(foreach kind,$(TEST_KINDS),$(call kind_programs,$(kind)))
# It takes the place of system calls, so it is only in the program that wants that.
FAULT_DISK := tests/fault_disk.c
TEST_HELP := $(filter-out $(addsuffix .c,$(TEST_PROGRAMS)) $(FAULT_DISK),$(wildcard tests/*.c) \
             $(foreach kind,$(TEST_KINDS),$(call kind_files,$(kind))))
FUZZ_TARGETS := $(patsubst %.c,%,$(wildcard tests/fuzz/fuzz_*.c))
TEST_SCRIPTS := $(wildcard tests/cli/test_*.sh)
# The adversarial plugin is one of several files, built twice: a method that says it is exact is another one.
LIAR_FILES := $(wildcard tests/support/*.c)
LIARS := $(OUT)/tests/support/liar.so $(OUT)/tests/support/liar-exact.so
TEST_PLUGINS := $(patsubst %.c,$(OUT)/%.so,$(wildcard tests/plugins/*.c)) $(LIARS)

# T=name: the tests with that in their path and, where it names a method, the contract for that one alone.
METHOD := $(if $(T),$(shell grep -rqsF '.name = "$(T)"' algorithms && echo $(T)))
chosen = $(strip $(if $(T),$(foreach test,$(1),$(if $(findstring $(T),$(test)),$(test))),$(1)))
CHOSEN_TESTS := $(sort $(call chosen,$(TEST_PROGRAMS)) $(if $(METHOD),$(filter tests/contract/%,$(TEST_PROGRAMS))))
CHOSEN_FUZZ := $(call chosen,$(FUZZ_TARGETS))
CHOSEN_SCRIPTS := $(call chosen,$(TEST_SCRIPTS))
SANITIZED_TESTS := $(filter tests/unit/% tests/contract/%,$(CHOSEN_TESTS)) $(CHOSEN_FUZZ)
# One thread races with nothing: the thread sanitizer's short tier runs what speaks of threads.
ifeq ($(MODE)$(TIER)$(T),tsanshort)
SANITIZED_TESTS := $(filter tests/contract/%,$(CHOSEN_TESTS)) \
                   $(patsubst %.c,%,$(shell grep -liE 'thread|background' $(addsuffix .c,$(filter tests/unit/%,$(CHOSEN_TESTS)))))
endif

# cmocka's macros convert as they please.
$(OUT)/obj/tests/% build/lint/tests/%: private WARN_C += -Wno-conversion -Wno-sign-conversion

$(addprefix $(OUT)/,$(TEST_PROGRAMS)): $(OUT)/%: $(OUT)/obj/%.c.o $(OUT)/libtesting.a $(OUT)/libdriftline.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) $(LDFLAGS_ALL) -o $@ $^ $(OUT)/libdriftline.a -lcmocka $(LIBS)

$(OUT)/tests/contract/test_contract_crash: $(call objects,$(FAULT_DISK))

$(OUT)/libtesting.a: $(call objects,$(TEST_HELP))
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^

# Without a fuzzer, replay.c hands a target each file of its corpus once.
FUZZ_DRIVER := $(if $(filter fuzz,$(MODE)),,$(OUT)/obj/tests/fuzz/replay.c.o)
$(addprefix $(OUT)/,$(FUZZ_TARGETS)): $(OUT)/%: $(OUT)/obj/%.c.o $(FUZZ_DRIVER) $(OUT)/libdriftline.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(LINK) $(LDFLAGS_ALL) $(if $(FUZZ_DRIVER),,-fsanitize=fuzzer) -o $@ $^ $(LIBS)

$(filter-out $(LIARS),$(TEST_PLUGINS)): $(OUT)/%.so: %.c $(OUT)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -MMD -MP -o $@ $<

$(OUT)/tests/support/liar-exact.so: private CFLAGS_ALL += -DLIAR_EXACT
$(LIARS): $(LIAR_FILES) $(wildcard tests/support/*.h src/core/*.h) $(OUT)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -shared -o $@ $(LIAR_FILES)

build-tests: $(addprefix $(OUT)/,$(CHOSEN_TESTS) $(CHOSEN_FUZZ)) $(TEST_PLUGINS)

## test: every test, a few minutes; T=divf for a part
test: $(if $(CHOSEN_SCRIPTS),all) build-tests
	@exec src/build/run-tests.sh $(OUT) "$(METHOD)" $(CHOSEN_TESTS) $(CHOSEN_FUZZ) $(CHOSEN_SCRIPTS)

## asan: unit, contract and fuzz-corpus tests under the address sanitizer
## tsan: the same under the thread sanitizer, those where threads meet
## ubsan: the same under clang's undefined-behaviour sanitizer
# OpenBLAS and OpenMP, which FAISS works with, are built without the thread sanitizer: it does not see how
# their threads wait for each other. Our own threads are started as ever.
tsan: export OMP_THREAD_LIMIT := 1
tsan: export OPENBLAS_NUM_THREADS := 1
asan tsan ubsan:
	@$(MAKE) MODE=$@ test-sanitized

## sanitize: the three one after another, at most half an hour; TIER=long for all that they can do
sanitize:
	@status=0; for mode in asan tsan ubsan; do $(MAKE) $$mode || status=1; done; exit $$status

## nightly: the sanitizers' long tier, ten thousand seeds of crashes, an hour of fuzzing a kind of input
nightly:
	@src/build/nightly.sh

# Long enough for the slowest of them.
test-sanitized: export DRIFTLINE_TEST_TIMEOUT ?= $(if $(filter long,$(TIER)),14400,1200)
test-sanitized: $(addprefix $(OUT)/,$(SANITIZED_TESTS)) $(TEST_PLUGINS)
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

C_FILES := $(KERNEL_SOURCES) $(SOURCES) $(wildcard tests/*.c tests/*/*.c)
FORMATTED := $(wildcard $(foreach ext,c h cc cu,$(addsuffix .$(ext),kernels/* kernels/*/* src/*/* \
             algorithms/* algorithms/*/* algorithms/*/*/* tests/* tests/*/*)))
SHELL_FILES := harness .ci/run $(wildcard src/build/*.sh tests/cli/*.sh datasets/*.sh datasets/*/*.sh tests/*.sh)
LINT_CPPFLAGS = -I. -Isrc -Ibuild/release/include $(filter-out $(INCLUDES),$(CPPFLAGS_ALL))

## lint: a second compiler's warnings, the format, the shell scripts, who includes whom
lint: $(patsubst %,build/lint/%.ok,$(C_FILES)) build/lint/format.ok build/lint/shell.ok
	@src/build/include-graph.sh

build/lint/%.c.ok: %.c | build/release/include/build_info.h
	$(call say,CLANG,$<)
	$(Q)mkdir -p $(@D) && clang -fsyntax-only $(LINT_CPPFLAGS) -std=c11 -march=native \
	    $(call kernel_flags,$<) $(WARN_C) -MMD -MP -MT $@ -MF $(@:.ok=.d) $< && touch $@

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

# ----------------------------------------------------------------------------------------- usage

CONFIG ?= configs/drift_mnist_fashion.lua
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

## figures: draws the figures of every result again
figures:
	@./harness plot $(or $(wildcard results/*/result.json),$(error no result yet; make run writes one))

## deps: installs the missing packages that the build needs; deps-test and deps-lint the others
deps:
	@src/build/deps.sh build
deps-test deps-lint:
	@src/build/deps.sh $(@:deps-%=%)

## peers: builds FAISS, fetches hnswlib and usearch, and says how they were built
peers:
	@rm -f build/config.mk
	@$(CONFIGURE) build
	@sed -n 's/^PEERS_INFO := *//p; s/^MISSING_PARTS := *//p' build/config.mk | sed 's/) /)\n/g'

## clean: removes build/; the cache of peers and data stays
clean:
	@rm -rf build

.PHONY: FORCE help all build-tests test asan tsan ubsan sanitize nightly test-sanitized fuzz fuzz-run coverage lint format run bench aa-study \
        figures deps deps-test deps-lint peers clean
FORCE:

-include $(OBJECTS:.o=.d) $(patsubst %,$(OUT)/obj/%.c.d,$(TEST_PROGRAMS) $(FUZZ_TARGETS) tests/fuzz/replay) \
         $(patsubst %.c,$(OUT)/obj/%.c.d,$(TEST_HELP) $(FAULT_DISK)) $(TEST_PLUGINS:.so=.d) \
         $(patsubst %,build/lint/%.d,$(C_FILES))
