// Runs the kernels' own source on a processor: every thread of a block is a fibre that runs until it meets a barrier.
//
// Barriers and shuffles behave as on a GPU where all threads reach them; where some do not, the launch fails instead of hanging.
// Threads run in ascending or descending order between two barriers: a missing one shows as another result. Blocks run one after
// another. Shared memory is what a thread of the processor owns.
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

using std::isfinite;

#define __global__
#define __device__ inline
#define __shared__ static
#define __restrict__
#define __launch_bounds__(...)

struct Place {
    unsigned x, y, z;
};

static Place threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
constexpr size_t STACK_BYTES = 64 * 1024;

struct Fibre {
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    ucontext_t begin;
    jmp_buf here;
    State state;
    bool is_begun;
};

static std::vector<Fibre> fibres;
static Fibre *running;
static jmp_buf scheduler;
static void (*body)(void *);
static void *arguments;
static uint64_t told[1024];

static void run_body() {
    body(arguments);
    running->state = DONE;
    _longjmp(scheduler, 1);
}

static void wait_at(State barrier) {
    running->state = barrier;
    if (_setjmp(running->here) == 0) _longjmp(scheduler, 1);
}

static void resume(unsigned thread) {
    running = &fibres[thread];
    threadIdx = {thread, 0, 0};
    if (_setjmp(scheduler) != 0) return;
    if (running->is_begun) _longjmp(running->here, 1);
    running->is_begun = true;
    setcontext(&running->begin);
}

static bool all_are(unsigned first, unsigned last, State state) {
    for (unsigned thread = first; thread < last; thread++)
        if (fibres[thread].state != state) return false;
    return true;
}

static void release(unsigned first, unsigned last) {
    for (unsigned thread = first; thread < last; thread++) fibres[thread].state = READY;
}

// Run a warp until all its threads stand at the block's barrier or are done; false where they part.
static bool run_warp(unsigned first, unsigned last, bool is_descending) {
    while (true) {
        for (unsigned k = first; k < last; k++) {
            const unsigned thread = is_descending ? first + last - 1 - k : k;
            if (fibres[thread].state == READY) resume(thread);
        }
        if (all_are(first, last, AT_BLOCK_BARRIER) || all_are(first, last, DONE)) return true;
        if (!all_are(first, last, AT_WARP_BARRIER)) return false;
        release(first, last);
    }
}

static bool run_block(bool is_descending) {
    const unsigned n = blockDim.x;
    for (unsigned thread = 0; thread < n; thread++) {
        Fibre &fibre = fibres[thread];
        getcontext(&fibre.begin);
        fibre.begin.uc_stack.ss_sp = fibre.stack.get();
        fibre.begin.uc_stack.ss_size = STACK_BYTES;
        makecontext(&fibre.begin, run_body, 0);
        fibre.state = READY, fibre.is_begun = false;
    }
    while (true) {
        for (unsigned k = 0; k < n; k += 32) {
            const unsigned first = is_descending ? n - 32 - k : k;
            if (!run_warp(first, first + 32, is_descending)) return false;
        }
        if (all_are(0, n, DONE)) return true;
        if (!all_are(0, n, AT_BLOCK_BARRIER)) return false;
        release(0, n);
    }
}

template <class Function>
static void call(void *function) {
    (*static_cast<Function *>(function))();
}

template <class... Parameters, size_t... I>
static bool launch(
    void (*kernel)(Parameters...), const unsigned *grid, unsigned n_threads, void **values, bool is_descending,
    std::index_sequence<I...>) {
    auto thread = [=]() { kernel(*static_cast<std::remove_const_t<Parameters> *>(values[I])...); };
    body = call<decltype(thread)>, arguments = &thread;
    if (n_threads % 32 != 0) return false;
    if (fibres.size() < n_threads) fibres = std::vector<Fibre>(n_threads);
    blockDim = {n_threads, 1, 1}, gridDim = {grid[0], grid[1], 1};
    for (unsigned y = 0; y < grid[1]; y++)
        for (unsigned x = 0; x < grid[0]; x++) {
            blockIdx = {x, y, 0};
            if (!run_block(is_descending)) return false;
        }
    return true;
}

template <class... Parameters>
static bool launch(
    void (*kernel)(Parameters...), const unsigned *grid, unsigned n_threads, void **values, bool is_descending) {
    return launch(kernel, grid, n_threads, values, is_descending, std::index_sequence_for<Parameters...>());
}

template <class... Parameters>
static size_t size_of(void (*)(Parameters...), unsigned which) {
    const size_t sizes[] = {sizeof(Parameters)...};
    return which < sizeof...(Parameters) ? sizes[which] : 0;
}

}  // namespace emulation

// Gives a kernel to the caller: its grid of two numbers, threads of a block, where its arguments lie; and the size of each.
#define EMULATE(name)                                                                                             \
    extern "C" bool emulate_##name(const unsigned *grid, unsigned n_threads, void **values, bool is_descending) { \
        return emulation::launch(name, grid, n_threads, values, is_descending);                                   \
    }                                                                                                             \
    extern "C" size_t size_##name(unsigned which) { return emulation::size_of(name, which); }

static void __syncthreads() { emulation::wait_at(emulation::AT_BLOCK_BARRIER); }

static void __syncwarp(unsigned = 0xFFFFFFFFu) { emulation::wait_at(emulation::AT_WARP_BARRIER); }

template <class T>
static T __shfl_xor_sync(unsigned, T value, int lanes) {
    std::memcpy(&emulation::told[threadIdx.x], &value, sizeof(T));
    __syncwarp();
    T other;
    std::memcpy(&other, &emulation::told[threadIdx.x ^ (unsigned)lanes], sizeof(T));
    __syncwarp();
    return other;
}

template <class T>
static T atomicAdd(T *place, T value) {
    const T before = *place;
    *place = before + value;
    return before;
}

static double __ddiv_rn(double left, double right) { return left / right; }

static long long __double_as_longlong(double value) {
    long long bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}
