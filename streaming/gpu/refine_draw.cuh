// The moving phases of a pattern, drawn from tables: as streaming/refine/draw.py.

// Draw unit mass of phase p at the trial's lengths and width, and its derivatives.
__device__ void draw_phase(const Model &model, int p, const double *trial, double *columns) {
    const double *powers = model.powers + 3 * p, *widths = model.widths + p * model.n_widths;
    const int n_radial = model.n_radial, half = (model.n_window - 1) / 2;
    const bool has_third = powers[2] != 0.0, has_width = model.is_free[p * N_PARAMETERS + 3];
    const double width = trial[3];
    for (int i = threadIdx.x; i < n_radial; i += N_THREADS)
        for (int k = 0; k <= N_PARAMETERS; k++) columns[k * n_radial + i] = 0.0;
    double inverse_volume = 1.0 / model.volumes[p];
    for (int k = 0; k < 3; k++) inverse_volume /= pow(trial[k], powers[k]);
    int level = 0;
    while (level < model.n_widths - 2 && width >= widths[level + 1]) level++;
    const double per_width = 1.0 / (widths[level + 1] - widths[level]), between = (width - widths[level]) * per_width;
    for (int r = model.first[p]; r < model.first[p + 1]; r++) {
        const double *metric = model.metric + 3 * r;
        double total = 0.0;
        for (int k = 0; k < 3; k++) total += metric[k] / (trial[k] * trial[k]);
        const double q = 2.0 * PI * sqrt(total), sine = q * model.wavelength / (4.0 * PI);
        if (sine >= 0.999) continue;
        const double height = model.amplitude[r] * inverse_volume / (2.0 * sine * sine * sqrt(1.0 - sine * sine));
        const double place = (q - model.q_first_edge) / model.q_step;
        const int middle = (int)floor(place);
        const int start = middle - half > 0 ? middle - half : 0;
        const int stop = middle + half + 1 < n_radial ? middle + half + 1 : n_radial;
        double part = (place - middle) * N_SUB;
        const int sub = (int)part < N_SUB - 1 ? (int)part : N_SUB - 1;
        part -= sub;
        // By how many bins the place moves with each length, and by what part of itself the height does.
        double move[3], grow[3];
        for (int k = 0; k < 3; k++) {
            move[k] = -4.0 * PI * PI * metric[k] / (trial[k] * trial[k] * trial[k] * q) / model.q_step;
            grow[k] = -2.0 * model.q_step / q * move[k] - powers[k] / trial[k];
        }
        const float *near = model.table + (((i64)r * model.n_widths + level) * (N_SUB + 1) + sub) * model.n_window;
        const float *far = near + model.n_window, *wide_near = near + (N_SUB + 1) * model.n_window;
        const float *wide_far = wide_near + model.n_window;
        // A bin always belongs to the same thread.
        const int ahead = ((int)threadIdx.x - start % N_THREADS + N_THREADS) % N_THREADS;
        for (int i = start + ahead; i < stop; i += N_THREADS) {
            const int j = i - (middle - half);
            const double rise = (double)far[j] - near[j], wide_rise = (double)wide_far[j] - wide_near[j];
            const double narrow = near[j] + part * rise, wide = wide_near[j] + part * wide_rise;
            const double value = height * (narrow + between * (wide - narrow));
            const double along = height * N_SUB * (rise + between * (wide_rise - rise));
            columns[i] += value;
            columns[n_radial + i] += along * move[0] + value * grow[0];
            columns[2 * n_radial + i] += along * move[1] + value * grow[1];
            if (has_third) columns[3 * n_radial + i] += along * move[2] + value * grow[2];
            if (has_width) columns[4 * n_radial + i] += height * (wide - narrow) * per_width;
        }
    }
}
