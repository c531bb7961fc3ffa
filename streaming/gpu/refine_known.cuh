// What is known in the end: covariances, and what an addition to the pattern would change.

// Invert G over all unknowns that take part, zero elsewhere, a column for each thread; false if it is singular.
__device__ bool invert(Room room, Shared &shared) {
    if (threadIdx.x == 0) {
        int n = 0;
        for (int i = 0; i < N; i++)
            if (shared.kind[i] != EXCLUDED) shared.chosen[n++] = i;
        shared.n_chosen = n;
    }
    for (int i = threadIdx.x; i < N * N; i += N_THREADS) room.inverse[i] = 0.0;
    __syncthreads();
    if (factorise(room, shared) >= 0) return false;
    const int n = shared.n_chosen;
    for (int column = threadIdx.x; column < n; column += N_THREADS) {
        double *solution = room.inverse + shared.chosen[column];
        for (int i = 0; i < n; i++) {
            double total = i == column ? 1.0 : 0.0;
            for (int k = 0; k < i; k++) total -= room.factor[i * N + k] * solution[shared.chosen[k] * N];
            solution[shared.chosen[i] * N] = total / room.factor[i * N + i];
        }
        for (int i = n - 1; i >= 0; i--) {
            double total = solution[shared.chosen[i] * N];
            for (int k = i + 1; k < n; k++) total -= room.factor[k * N + i] * solution[shared.chosen[k] * N];
            solution[shared.chosen[i] * N] = total / room.factor[i * N + i];
        }
    }
    __syncthreads();
    return true;
}

// What an unknown of the normal equations is divided by to be a length or a width.
__device__ double amount_of(int row, const Shared &shared) {
    return row < N_LINEAR ? 1.0 : fmax(shared.x[N_STATIC + (row - N_LINEAR) / N_PARAMETERS], TINY);
}

// What is held at zero is known to be no less: the deviation of a half-normal distribution.
__device__ double share_of(int row, const Shared &shared) {
    return row < N_LINEAR && shared.kind[row] == BOUNDED && !shared.is_passive[row] ? HALF_NORMAL : 1.0;
}

__device__ int row_out(int i) { return i < N_FIXED ? i : i - N_FIXED + N_STATIC; }

// Give the covariance of all scales and of what moved; false if it is singular.
__device__ bool covary(const Model &model, double noise, double *covariance, Room room, Shared &shared) {
    for (int i = threadIdx.x; i < N_MOVING * N_PARAMETERS; i += N_THREADS) {
        const int p = i / N_PARAMETERS;
        const bool takes_part = model.is_free[i] && shared.is_moved[p] && shared.x[N_STATIC + p] > 0.0;
        shared.kind[N_LINEAR + i] = takes_part ? FREE : EXCLUDED;
    }
    __syncthreads();
    if (!invert(room, shared)) return false;
    for (int i = threadIdx.x; i < N_OUT * N_OUT; i += N_THREADS) {
        const int row = row_out(i / N_OUT), column = row_out(i % N_OUT);
        const double value = room.inverse[row * N + column] / amount_of(row, shared) / amount_of(column, shared);
        covariance[i] = noise * (value * share_of(row, shared) * share_of(column, shared));
    }
    return true;
}

// Give what an addition to the pattern changes of scales and parameters.
__device__ void respond(const Model &model, const float *difference, double *change, Room room, Shared &shared) {
    double sums[N_PARAMETERS + 1];
    multiply_fixed(model, difference, shared.solution);
    for (int p = threadIdx.x / 32; p < N_MOVING; p += N_WARPS) {
        multiply(model, difference, room.columns + p * (N_PARAMETERS + 1) * model.n_radial, sums);
        for (int k = 0; k <= N_PARAMETERS && threadIdx.x % 32 == 0; k++) {
            const bool counts = k == 0 || (is_wanted(model, p, k) && shared.kind[row_of(p, k)] != EXCLUDED);
            shared.solution[row_of(p, k)] = counts ? sums[k] : 0.0;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < N_OUT; i += N_THREADS) {
        double total = 0.0;
        for (int k = 0; k < N; k++) total += room.inverse[row_out(i) * N + k] * shared.solution[k];
        change[i] = total / amount_of(row_out(i), shared);
    }
}
