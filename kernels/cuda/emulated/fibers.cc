/* fibers.cc - executes a grid: the threads of a block as fibers, which wait for each other at
 * barriers and at the functions of their warp. */
#include <csetjmp>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/cuda/emulated/cuda.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define SWITCH_BEGINS(save, to) __sanitizer_start_switch_fiber(save, (to).stack, (to).stack_bytes)
#define SWITCH_ENDED(save)      __sanitizer_finish_switch_fiber(save, nullptr, nullptr)
#else
#define SWITCH_BEGINS(save, to) (void)0
#define SWITCH_ENDED(save)      (void)0
#endif

enum { STACK_BYTES = 128 << 10, MOST_THREADS = 1024 };

dim3 threadIdx, blockIdx, blockDim, gridDim;

cudaError_t emulated_call();
void emulated_report(cudaError_t);

enum state { READY, AT_BARRIER, IN_WARP, ENDED };

struct fiber {
    ucontext_t context = {};
    jmp_buf place;
    bool entered = true;         /* place is set */
    std::unique_ptr<char[]> own; /* none for the scheduler, which has the process's stack */
    const void *stack = nullptr; /* for the sanitizer */
    size_t stack_bytes = STACK_BYTES;
    void *fake_stack = nullptr;
    unsigned turns = 0; /* exchanges so far */
    dim3 index;
};

/* Of two exchanges that follow each other, one uses values[0] and one values[1]: no lane posts to
   the same again before all have posted to the other, and so have read this one. */
struct warp_board {
    unsigned arrived = 0;
    unsigned char values[2][EMULATED_WARP * EMULATED_VALUE_BYTES];
};

/* The block that runs. */
static struct {
    std::vector<fiber> fibers;
    /* Of each fiber, beside each other: the scheduler looks at all of them after each change. */
    unsigned char now[MOST_THREADS]; /* enum state */
    unsigned mask[MOST_THREADS];     /* IN_WARP */
    warp_board warps[MOST_THREADS / EMULATED_WARP];
    fiber scheduler;
    fiber *running;
    size_t threads;
    const std::function<void()> *body;
} block;

static std::mutex launching;

[[noreturn]] static void stop(const char *why)
{
    fprintf(stderr, "emulated CUDA: block (%u, %u, %u), thread %td: %s\n", blockIdx.x, blockIdx.y,
            blockIdx.z, block.running ? block.running - block.fibers.data() : 0, why);
    abort();
}

/* swapcontext() sets the signal mask, by a system call, so only the first change to a fiber is one
   of its kind; but the sanitizer takes a longjmp() for the end of a stack. */
static void change(fiber &from, fiber &to)
{
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&from.context, &to.context);
#else
    if (_setjmp(from.place))
        return;
    if (to.entered)
        _longjmp(to.place, 1);
    to.entered = true;
    setcontext(&to.context);
#endif
}

static void to_scheduler(state next)
{
    fiber *self = block.running;
    block.now[self - block.fibers.data()] = static_cast<unsigned char>(next);
    SWITCH_BEGINS(&self->fake_stack, block.scheduler);
    change(*self, block.scheduler);
    SWITCH_ENDED(self->fake_stack);
}

/* Thread after thread: to make a context costs system calls, and most threads are short. */
static void fiber_main()
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &block.scheduler.stack, &block.scheduler.stack_bytes);
#endif
    for (;;) {
        (*block.body)();
        to_scheduler(ENDED);
    }
}

static void run(fiber &f)
{
    block.running = &f;
    threadIdx = f.index;
    SWITCH_BEGINS(&block.scheduler.fake_stack, f);
    change(block.scheduler, f);
    SWITCH_ENDED(block.scheduler.fake_stack);
}

static void make_stack(fiber &f)
{
    f.own.reset(new char[STACK_BYTES]);
    f.stack = f.own.get();
    if (getcontext(&f.context))
        stop("no context for it");
    f.context.uc_stack.ss_sp = f.own.get();
    f.context.uc_stack.ss_size = f.stack_bytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, fiber_main, 0);
    f.entered = false;
}

static void start_fiber(fiber &f, size_t number)
{
    if (!f.own)
        make_stack(f);
    const unsigned at = static_cast<unsigned>(number);
    f.index = dim3(at % blockDim.x, at / blockDim.x % blockDim.y, at / blockDim.x / blockDim.y);
    f.turns = 0;
    block.now[number] = READY;
}

static size_t count(state wanted)
{
    size_t n = 0;
    for (size_t i = 0; i < block.threads; i++)
        n += block.now[i] == wanted;
    return n;
}

/* Wakes the lanes of a warp if all that they wait for are there. */
static bool release_warp(size_t warp)
{
    warp_board &board = block.warps[warp];
    const size_t first = warp * EMULATED_WARP;
    bool woke = false;
    for (size_t lane = 0; lane < EMULATED_WARP && first + lane < block.threads; lane++) {
        const unsigned mask = block.mask[first + lane];
        if (block.now[first + lane] != IN_WARP || (board.arrived & mask) != mask)
            continue;
        const unsigned turns = block.fibers[first + lane].turns;
        for (size_t other = 0; other < EMULATED_WARP; other++)
            if (mask >> other & 1) {
                if (block.mask[first + other] != mask) {
                    block.running = &block.fibers[first + other];
                    stop("lanes of a warp named different masks");
                }
                if (block.fibers[first + other].turns != turns) {
                    block.running = &block.fibers[first + other];
                    stop("it was in fewer warp functions than others of its mask: not emulated");
                }
                block.now[first + other] = READY;
            }
        board.arrived &= ~mask;
        woke = true;
    }
    return woke;
}

static bool release()
{
    bool woke = false;
    for (size_t warp = 0; warp * EMULATED_WARP < block.threads; warp++)
        woke |= release_warp(warp);
    const size_t waiting = count(AT_BARRIER);
    if (woke || waiting == 0 || waiting + count(ENDED) < block.threads)
        return woke;
    for (size_t i = 0; i < block.threads; i++)
        if (block.now[i] == AT_BARRIER)
            block.now[i] = READY;
    driftline_emulated.barriers++;
    return true;
}

static unsigned draw()
{
    unsigned &seed = driftline_emulated.seed;
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Runs what can run of half of the warps, which are drawn: so one warp may be ahead of another by
   all that no barrier forbids. From a drawn place on and in a drawn direction. */
static void run_ready()
{
    const unsigned late = draw() | draw() << 16, drawn = draw();
    const size_t first = drawn / 2 % block.threads;
    for (size_t i = 0; i < block.threads; i++) {
        const size_t step = drawn & 1 ? block.threads - 1 - i : i;
        const size_t number = first + step - (first + step >= block.threads ? block.threads : 0);
        if (block.now[number] == READY && !(late >> number / EMULATED_WARP % 32 & 1))
            run(block.fibers[number]);
    }
}

static void run_block()
{
    for (size_t i = 0; i < block.threads; i++)
        start_fiber(block.fibers[i], i);
    for (warp_board &board : block.warps)
        board.arrived = 0;
    for (;;) {
        run_ready();
        if (count(ENDED) == block.threads)
            break;
        if (!release() && count(READY) == 0)
            stop("the threads wait at different barriers, or for lanes that have ended");
    }
    block.running = nullptr;
    driftline_emulated.threads += block.threads;
}

void emulated_launch(dim3 grid, dim3 of, const std::function<void()> &thread)
{
    const std::lock_guard<std::mutex> lock(launching);
    if (emulated_call() != cudaSuccess)
        return;
    const size_t threads = size_t{ of.x } * of.y * of.z;
    if (threads == 0 || threads > MOST_THREADS || grid.x == 0 || grid.x > 0x7fffffffu ||
        grid.y == 0 || grid.y > 65535 || grid.z == 0 || grid.z > 65535) {
        emulated_report(cudaErrorInvalidConfiguration);
        return;
    }
    block.fibers.reserve(MOST_THREADS); /* their stacks point at them */
    if (block.fibers.size() < threads)
        block.fibers.resize(threads);
    block.threads = threads;
    block.body = &thread;
    gridDim = grid;
    blockDim = of;
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++)
                run_block();
    driftline_emulated.grids++;
}

void __syncthreads()
{
    to_scheduler(AT_BARRIER);
}

unsigned emulated_lane()
{
    return static_cast<unsigned>(block.running - block.fibers.data()) % EMULATED_WARP;
}

void emulated_exchange(unsigned mask, const void *mine, size_t bytes, unsigned char *all)
{
    fiber *self = block.running;
    const size_t number = static_cast<size_t>(self - block.fibers.data());
    const unsigned bit = 1u << number % EMULATED_WARP;
    warp_board &board = block.warps[number / EMULATED_WARP];
    if (!(mask & bit))
        stop("it is not in the mask of its warp function");
    unsigned char *const values = board.values[self->turns++ % 2];
    memcpy(values + number % EMULATED_WARP * bytes, mine, bytes);
    block.mask[number] = mask;
    board.arrived |= bit;
    to_scheduler(IN_WARP);
    memcpy(all, values, EMULATED_WARP * bytes);
}

unsigned __ballot_sync(unsigned mask, int predicate)
{
    const emulated_values<bool> all = emulated_all(mask, predicate != 0);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < EMULATED_WARP; lane++)
        if (mask >> lane & 1 && all.of(lane))
            votes |= 1u << lane;
    return votes;
}
