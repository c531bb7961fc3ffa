// The full profile of many patterns: one block refines one pattern after the other, step by step as streaming/refine/kernel.py.
//
// Amounts and background are solved for exactly, some of them not below zero; lengths of cells and widths move by
// Levenberg-Marquardt steps with analytic derivatives (variable projection: Golub and Pereyra, Inverse Problems 19 (2003) R1).
// All threads take every decision together, from what stands in shared memory behind a barrier. A thread draws bins of its own,
// so that reflections may overlap; a warp takes one dot product at a time; matrices lie in the block's room in global memory,
// which its cache holds.
//
// Floor for nine phases, one of which moves, and 1,500 points: five steps of some 25 products of 1,500 numbers with four
// columns, 0.3 M multiplications each, 2 M in all; 240 kB of static columns a step from the second-level cache, which all
// blocks share.

#include "refine_model.cuh"
#include "refine_draw.cuh"
#include "refine_normal.cuh"
#include "refine_solve.cuh"
#include "refine_known.cuh"

// --- the steps ------------------------------------------------------------------------------------------------------------

// Tell which moving phases are there with certainty; only their lengths mean anything.
__device__ void find_present(const Model &model, double noise, Room room, Shared &shared) {
    list_chosen(model, shared, false);
    const int bad = factorise(room, shared);
    for (int p = 0; p < N_MOVING; p++) {
        int here = -1;
        for (int place = 0; place < shared.n_chosen; place++) here = shared.chosen[place] == N_STATIC + p ? place : here;
        for (int k = threadIdx.x; k < shared.n_chosen; k += N_THREADS) shared.solution[k] = k == here ? 1.0 : 0.0;
        __syncthreads();
        if (bad < 0 && here >= 0) substitute(room, shared);
        if (threadIdx.x == 0) {
            const double limit = bad < 0 && here >= 0 ? model.significance * sqrt(noise * shared.solution[here]) : 0.0;
            shared.is_moved[p] = bad < 0 && here >= 0 && shared.x[N_STATIC + p] > limit;
        }
        __syncthreads();
    }
}

__device__ void scale_parameters(Room room, Shared &shared, double damping, bool is_undone) {
    for (int place = threadIdx.x; place < shared.n_chosen; place += N_THREADS) {
        const int row = shared.chosen[place];
        if (row < N_LINEAR) continue;
        if (is_undone) room.gram[row * N + row] /= 1.0 + damping;
        else room.gram[row * N + row] *= 1.0 + damping;
    }
    __syncthreads();
}

// Solve for a step of lengths and widths; give the fall of chi squared that it promises, or -1.
__device__ double propose(const Model &model, double damping, Room room, Shared &shared) {
    for (int i = threadIdx.x; i < N_MOVING * N_PARAMETERS; i += N_THREADS)
        shared.step[i / N_PARAMETERS][i % N_PARAMETERS] = 0.0;
    list_chosen(model, shared, true);
    scale_parameters(room, shared, damping, false);
    const int bad = factorise(room, shared);
    scale_parameters(room, shared, damping, true);
    if (bad >= 0) return -1.0;
    load_solution(shared);
    substitute(room, shared);
    for (int place = threadIdx.x; place < shared.n_chosen; place += N_THREADS) {
        const int row = shared.chosen[place], p = (row - N_LINEAR) / N_PARAMETERS, k = (row - N_LINEAR) % N_PARAMETERS;
        if (row < N_LINEAR) continue;
        double slope = shared.channels[row];
        for (int i = 0; i < N_LINEAR; i++) slope -= room.gram[row * N + i] * shared.x[i];
        shared.slope[place] = slope * shared.solution[place];
        shared.step[p][k] = shared.solution[place] / shared.x[N_STATIC + p];
    }
    __syncthreads();
    double promise = 0.0;
    for (int place = 0; place < shared.n_chosen; place++)
        if (shared.chosen[place] >= N_LINEAR) promise += shared.slope[place];
    __syncthreads();
    return promise;
}

// Take a part of the step, shortened as a whole to the largest that is allowed, and stop at the limits.
__device__ void take_step(const Model &model, double part, Shared &shared) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < N_MOVING * N_PARAMETERS; i++) {
            const double size = fabs(shared.step[i / N_PARAMETERS][i % N_PARAMETERS]);
            if (size * part > model.largest[i]) part = model.largest[i] / size;
        }
        for (int i = 0; i < N_MOVING * N_PARAMETERS; i++) {
            const int p = i / N_PARAMETERS, k = i % N_PARAMETERS;
            const double there = shared.now[p][k] + part * shared.step[p][k];
            shared.trial[p][k] = fmin(fmax(there, model.low[i]), model.high[i]);
        }
    }
    __syncthreads();
}

// --- one pattern ----------------------------------------------------------------------------------------------------------

__device__ void begin(const Model &model, const float *pattern, const double *start, Room room, Shared &shared) {
    for (int i = threadIdx.x; i < N_STATIC * N_STATIC; i += N_THREADS)
        room.gram[i / N_STATIC * N + i % N_STATIC] = model.fixed_gram[i];
    for (int i = threadIdx.x; i < N; i += N_THREADS) {
        const bool is_there = i < N_STATIC && model.fixed_gram[i * N_STATIC + i] > 0.0;
        shared.kind[i] = is_there ? model.fixed_kind[i] : EXCLUDED;
        shared.is_passive[i] = false;
    }
    for (int i = threadIdx.x; i < N_MOVING * N_PARAMETERS; i += N_THREADS) {
        shared.now[i / N_PARAMETERS][i % N_PARAMETERS] = shared.trial[i / N_PARAMETERS][i % N_PARAMETERS] = start[i];
        shared.is_moved[i / N_PARAMETERS] = false;
    }
    multiply_fixed(model, pattern, shared.channels);
    __syncthreads();
}

// Draw the trial and solve for amounts and background; give the weighted sum of squares of the misfit, or -1 if it cannot be.
__device__ bool try_out(const Model &model, const float *pattern, double power, double *misfit, Room room, Shared &shared) {
    for (int p = 0; p < N_MOVING; p++)
        draw_phase(model, p, shared.trial[p], room.columns + p * (N_PARAMETERS + 1) * model.n_radial);
    __syncthreads();
    assemble(model, pattern, room, shared);
    for (int row = N_STATIC + threadIdx.x; row < N_LINEAR; row += N_THREADS)
        shared.kind[row] = room.gram[row * N + row] > 0.0 ? BOUNDED : EXCLUDED;
    __syncthreads();
    if (!solve_bounded(model, room, shared)) return false;
    *misfit = power;
    for (int i = 0; i < N_LINEAR; i++) *misfit -= shared.x[i] * shared.channels[i];
    return true;
}

// Refine one pattern; give how it ended, and the sum of squares of the last accepted misfit.
__device__ int refine(
    const Model &model, const float *pattern, double noise, double power, double *accepted, Room room, Shared &shared) {
    double damping = 1e-3, promise = 0.0, before = 0.0, part = 1.0, misfit = 0.0;
    for (int attempt = 0; attempt <= MOST_STEPS; attempt++) {
        if (!try_out(model, pattern, power, &misfit, room, shared)) return SINGULAR;
        if (attempt == 0) find_present(model, noise, room, shared);
        if (attempt > 0 && misfit > before + CONVERGED * noise) {
            // Too far: from the last good place again, half as far.
            damping *= 10.0, part *= 0.5;
            take_step(model, part, shared);
            continue;
        }
        for (int i = threadIdx.x; i < N_MOVING * N_PARAMETERS; i += N_THREADS)
            shared.now[i / N_PARAMETERS][i % N_PARAMETERS] = shared.trial[i / N_PARAMETERS][i % N_PARAMETERS];
        before = *accepted = misfit;
        __syncthreads();
        if (attempt > 0 && promise < CONVERGED * noise) return SOLVED;
        damping *= 0.1;
        promise = propose(model, damping, room, shared);
        if (promise < 0.0) return SINGULAR;
        if (promise < 1e-2 * CONVERGED * noise) return SOLVED;
        part = 1.0;
        take_step(model, part, shared);
    }
    return NOT_CONVERGED;
}

// See streaming/refine/kernel.py for all arrays; fixed are the static columns (N_STATIC, n_radial), fixed_gram their normal
// equations, room (gridDim.x, 5 N_MOVING n_radial + 3 N N) to work in. What is given back comes in as zeros, parameters as
// starting values; without differences their pointer and that of changes mean nothing.
extern "C" __global__ void __launch_bounds__(N_THREADS) refine_patterns(
    const float *patterns, const double *noise, const double *weights, const double *fixed, const double *fixed_gram,
    const int *fixed_kind, const int *first, const double *metric, const double *amplitude, const float *table,
    const double *widths, const double *powers, const double *volumes, const u8 *is_free, const double *low, const double *high,
    const double *largest, const float *differences, double *all_room, double *parameters, double *linear, double *covariance,
    double *residuals, u8 *status, u8 *is_moved, double *changes, int n_patterns, int n_radial, int n_widths, int n_window,
    int has_differences, double q_first_edge, double q_step, double wavelength, double significance) {
    __shared__ Shared shared;
    const Model model = {
        weights, fixed, fixed_gram, fixed_kind, first, metric, amplitude, table, widths, powers, volumes,
        is_free, low, high, largest, n_radial, n_widths, n_window, q_first_edge, q_step, wavelength, significance};
    double *mine = all_room + (i64)blockIdx.x * (N_MOVING * (N_PARAMETERS + 1) * n_radial + 3 * N * N);
    double *matrices = mine + N_MOVING * (N_PARAMETERS + 1) * n_radial;
    const Room room = {mine, matrices, matrices + N * N, matrices + 2 * N * N};
    for (i64 v = blockIdx.x; v < n_patterns; v += gridDim.x) {
        const float *pattern = patterns + v * n_radial;
        double power = 0.0;
        for (int i = threadIdx.x; i < n_radial; i += N_THREADS) power += weights[i] * pattern[i] * pattern[i];
        power = sum_of_block(power, shared);
        int ended = NOT_FINITE;
        if (isfinite(power) && noise[v] > 0.0 && isfinite(noise[v])) {
            double *now = parameters + v * N_MOVING * N_PARAMETERS, misfit = 0.0;
            begin(model, pattern, now, room, shared);
            ended = refine(model, pattern, noise[v], power, &misfit, room, shared);
            for (int i = threadIdx.x; i < N_MOVING * N_PARAMETERS; i += N_THREADS)
                now[i] = shared.now[i / N_PARAMETERS][i % N_PARAMETERS];
            for (int i = threadIdx.x; i < N_LINEAR; i += N_THREADS) linear[v * N_LINEAR + i] = shared.x[i];
            for (int p = threadIdx.x; p < N_MOVING; p += N_THREADS) is_moved[v * N_MOVING + p] = shared.is_moved[p];
            if (threadIdx.x == 0) residuals[2 * v] = misfit, residuals[2 * v + 1] = power;
            if (ended != SINGULAR && !covary(model, noise[v], covariance + v * N_OUT * N_OUT, room, shared)) ended = SINGULAR;
            if (has_differences && ended != SINGULAR)
                respond(model, differences + v * n_radial, changes + v * N_OUT, room, shared);
        }
        if (threadIdx.x == 0) status[v] = ended;
        __syncthreads();
    }
}
