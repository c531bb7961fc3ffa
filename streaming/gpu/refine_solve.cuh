// Small constrained least squares on normal equations, by all threads of a block: as streaming/refine/solve.py.
//
// Minimises x G x / 2 - c x where some x are free, some may not be negative and some do not take part, by the active-set
// method of Bro and de Jong (J. Chemometrics 11 (1997) 393), begun from a guess of the passive set.

// Factorise the chosen rows and columns of G by Cholesky; give the place of a bad pivot, or -1.
__device__ int factorise(Room room, Shared &shared) {
    const int n = shared.n_chosen;
    for (int j = 0; j < n; j++) {
        if (threadIdx.x == 0) {
            const int row = shared.chosen[j];
            double total = room.gram[row * N + row];
            for (int k = 0; k < j; k++) total -= room.factor[j * N + k] * room.factor[j * N + k];
            shared.answer = total > PIVOT * room.gram[row * N + row] ? -1 : j;
            if (shared.answer < 0) room.factor[j * N + j] = sqrt(total);
        }
        __syncthreads();
        const int bad = shared.answer;
        if (bad < 0) {
            for (int i = j + 1 + threadIdx.x; i < n; i += N_THREADS) {
                double total = room.gram[shared.chosen[i] * N + shared.chosen[j]];
                for (int k = 0; k < j; k++) total -= room.factor[i * N + k] * room.factor[j * N + k];
                room.factor[i * N + j] = total / room.factor[j * N + j];
            }
        }
        __syncthreads();
        if (bad >= 0) return bad;
    }
    return -1;
}

// Solve L L^T x = b in place of what stands in the solution.
__device__ void substitute(Room room, Shared &shared) {
    const int n = shared.n_chosen;
    double *solution = shared.solution;
    for (int k = 0; k < n; k++) {
        if (threadIdx.x == 0) solution[k] /= room.factor[k * N + k];
        __syncthreads();
        for (int i = k + 1 + threadIdx.x; i < n; i += N_THREADS) solution[i] -= room.factor[i * N + k] * solution[k];
        __syncthreads();
    }
    for (int k = n - 1; k >= 0; k--) {
        if (threadIdx.x == 0) solution[k] /= room.factor[k * N + k];
        __syncthreads();
        for (int i = threadIdx.x; i < k; i += N_THREADS) solution[i] -= room.factor[k * N + i] * solution[k];
        __syncthreads();
    }
}

// List the unknowns that are solved for now; of the lengths and widths those that move, where they are wanted.
__device__ void list_chosen(const Model &model, Shared &shared, bool has_parameters) {
    if (threadIdx.x == 0) {
        int n = 0;
        for (int i = 0; i < N_LINEAR; i++)
            if (shared.kind[i] == FREE || (shared.kind[i] == BOUNDED && shared.is_passive[i])) shared.chosen[n++] = i;
        for (int p = 0; p < N_MOVING && has_parameters; p++)
            for (int k = 1; k <= N_PARAMETERS; k++)
                if (is_wanted(model, p, k) && shared.is_moved[p] && shared.x[N_STATIC + p] > 0.0)
                    shared.chosen[n++] = row_of(p, k);
        shared.n_chosen = n;
    }
    __syncthreads();
}

__device__ void load_solution(Shared &shared) {
    for (int k = threadIdx.x; k < shared.n_chosen; k += N_THREADS) shared.solution[k] = shared.channels[shared.chosen[k]];
    __syncthreads();
}

// Give the unknown at zero with the steepest descent, -1 if there is none.
__device__ int most_wanted(Room room, Shared &shared) {
    for (int i = threadIdx.x; i < N_LINEAR; i += N_THREADS) {
        double descent = shared.channels[i];
        for (int j = 0; j < N_LINEAR; j++)
            if (shared.kind[j] != EXCLUDED) descent -= room.gram[i * N + j] * shared.x[j];
        shared.slope[i] = descent;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double steepest = 0.0;
        for (int i = 0; i < N_LINEAR; i++) {
            const double own = room.gram[i * N + i];
            if (shared.kind[i] == EXCLUDED || !(own > 0.0)) continue;
            const double scaled = TOLERANCE * fabs(shared.channels[i]) / sqrt(own);
            steepest = scaled > steepest ? scaled : steepest;
        }
        shared.answer = -1;
        for (int i = 0; i < N_LINEAR; i++) {
            const double own = room.gram[i * N + i];
            if (shared.kind[i] != BOUNDED || shared.is_passive[i] || !(own > 0.0)) continue;
            if (shared.slope[i] / sqrt(own) > steepest) shared.answer = i, steepest = shared.slope[i] / sqrt(own);
        }
    }
    __syncthreads();
    const int wanted = shared.answer;
    __syncthreads();
    return wanted;
}

// Go from x towards the solution until a bounded unknown meets zero; give how many left the passive set.
__device__ int step_towards(Shared &shared) {
    if (threadIdx.x == 0) {
        double length = 1.0;
        for (int k = 0; k < shared.n_chosen; k++) {
            const int i = shared.chosen[k];
            if (shared.kind[i] != BOUNDED || !(shared.solution[k] < 0.0)) continue;
            const double here = shared.x[i] / (shared.x[i] - shared.solution[k]);
            length = here < length ? here : length;
        }
        int n_left = 0;
        for (int k = 0; k < shared.n_chosen; k++) {
            const int i = shared.chosen[k];
            shared.x[i] += length * (shared.solution[k] - shared.x[i]);
            if (shared.kind[i] == BOUNDED && shared.solution[k] < 0.0 && shared.x[i] <= -1e-12 * shared.solution[k]) {
                shared.x[i] = 0.0, shared.is_passive[i] = false;
                n_left++;
            }
        }
        shared.answer = n_left;
    }
    __syncthreads();
    const int n_left = shared.answer;
    __syncthreads();
    return n_left;
}

// Minimise over amounts and background, from the passive set that is there; false if it cannot be solved.
__device__ bool solve_bounded(const Model &model, Room room, Shared &shared) {
    for (int i = threadIdx.x; i < N_LINEAR; i += N_THREADS) shared.x[i] = 0.0;
    __syncthreads();
    int newest = -1;
    for (int round = 0; round < 4 * N_LINEAR + 8; round++) {
        list_chosen(model, shared, false);
        const int bad = factorise(room, shared);
        if (bad >= 0) {
            const int i = shared.chosen[bad];
            const bool is_bounded = shared.kind[i] == BOUNDED;
            __syncthreads();
            if (!is_bounded) return false;
            // Two phases that look alike: the one that is in the way now stays at zero.
            if (threadIdx.x == 0) shared.kind[i] = EXCLUDED, shared.is_passive[i] = false, shared.x[i] = 0.0;
            __syncthreads();
            continue;
        }
        load_solution(shared);
        substitute(room, shared);
        if (step_towards(shared) > 0) {
            // It came in by rounding alone.
            if (newest >= 0 && !shared.is_passive[newest]) return true;
            continue;
        }
        newest = most_wanted(room, shared);
        if (newest < 0) return true;
        if (threadIdx.x == 0) shared.is_passive[newest] = true;
        __syncthreads();
    }
    return false;
}
