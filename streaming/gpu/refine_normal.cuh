// Products of vectors with columns, and the moving columns put into the normal equations: as streaming/refine/kernel.py.

// Multiply one vector, of float or double, with the columns of phase p; all lanes of a warp get the sums.
template <class Value>
__device__ void multiply(const Model &model, const Value *vector, const double *columns, double *sums) {
    for (int k = 0; k <= N_PARAMETERS; k++) sums[k] = 0.0;
    for (int i = threadIdx.x % 32; i < model.n_radial; i += 32) {
        const double weighted = model.weights[i] * vector[i];
        for (int k = 0; k <= N_PARAMETERS; k++) sums[k] += weighted * columns[k * model.n_radial + i];
    }
    for (int k = 0; k <= N_PARAMETERS; k++) sums[k] = sum_of_warp(sums[k]);
}

// Multiply one vector with each static column into place.
__device__ void multiply_fixed(const Model &model, const float *vector, double *into) {
    for (int s = threadIdx.x / 32; s < N_STATIC; s += N_WARPS) {
        double total = 0.0;
        for (int i = threadIdx.x % 32; i < model.n_radial; i += 32)
            total += model.weights[i] * model.fixed[s * model.n_radial + i] * vector[i];
        total = sum_of_warp(total);
        if (threadIdx.x % 32 == 0) into[s] = total;
    }
}

// Put the moving columns into the normal equations: values after the static ones, then four derivatives of each.
__device__ void assemble(const Model &model, const float *pattern, Room room, Shared &shared) {
    const int n_others = N_MOVING * (N_PARAMETERS + 1), n_radial = model.n_radial;
    double sums[N_PARAMETERS + 1];
    for (int task = threadIdx.x / 32; task < N_MOVING * (1 + N_STATIC + n_others); task += N_WARPS) {
        const int p = task / (1 + N_STATIC + n_others), right = task % (1 + N_STATIC + n_others);
        const int other = (right - 1 - N_STATIC) / (N_PARAMETERS + 1), m = (right - 1 - N_STATIC) % (N_PARAMETERS + 1);
        const double *columns = room.columns + p * (N_PARAMETERS + 1) * n_radial;
        if (right > N_STATIC && (other > p || !is_wanted(model, other, m))) continue;
        if (right == 0) multiply(model, pattern, columns, sums);
        else if (right <= N_STATIC) multiply(model, model.fixed + (right - 1) * n_radial, columns, sums);
        else multiply(model, room.columns + (right - 1 - N_STATIC) * n_radial, columns, sums);
        if (threadIdx.x % 32 != 0) continue;
        for (int k = 0; k <= N_PARAMETERS; k++) {
            if (!is_wanted(model, p, k) || (right > N_STATIC && other == p && m > k)) continue;
            const int row = row_of(p, k), column = right <= N_STATIC ? right - 1 : row_of(other, m);
            if (right == 0) shared.channels[row] = sums[k];
            else room.gram[row * N + column] = room.gram[column * N + row] = sums[k];
        }
    }
    __syncthreads();
}
