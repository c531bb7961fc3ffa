// What the kernel of the refinement works on, and sums over its threads.

typedef long long i64;
typedef unsigned char u8;

#ifndef N_THREADS
#define N_THREADS 128
#endif
#ifndef N_STATIC  // columns that do not move
#define N_STATIC 20
#endif
#ifndef N_FIXED  // of these, phases; the others are background
#define N_FIXED 8
#endif
#ifndef N_MOVING  // phases that may move
#define N_MOVING 1
#endif
#define N_PARAMETERS 4  // of a moving phase: three lengths and a width
#define N_LINEAR (N_STATIC + N_MOVING)
#define N (N_LINEAR + N_PARAMETERS * N_MOVING)
#define N_OUT (N_FIXED + N_MOVING * (1 + N_PARAMETERS))
#define N_ROOM (N_MOVING > 0 ? N_MOVING : 1)
#define N_WARPS (N_THREADS / 32)
#define N_SUB 16  // as streaming/refine/tables.py
#define ALL_LANES 0xFFFFFFFFu
#define PI 3.14159265358979323846

enum { FREE, BOUNDED, EXCLUDED };
enum { SOLVED, NOT_FINITE, SINGULAR, NOT_CONVERGED };

#define MOST_STEPS 60
#define CONVERGED 1e-4
#define TOLERANCE 1e-10
#define PIVOT 1e-11
#define HALF_NORMAL 0.6028
#define TINY 1e-300

// What does not change from pattern to pattern.
struct Model {
    const double *weights, *fixed, *fixed_gram;
    const int *fixed_kind, *first;
    const double *metric, *amplitude;
    const float *table;
    const double *widths, *powers, *volumes;
    const u8 *is_free;
    const double *low, *high, *largest;
    int n_radial, n_widths, n_window;
    double q_first_edge, q_step, wavelength, significance;
};

// The block's room in global memory: columns (N_MOVING, 5, n_radial), and matrices (N, N).
struct Room {
    double *columns, *gram, *factor, *inverse;
};

// What the threads of a block tell each other.
struct Shared {
    double channels[N], x[N], solution[N], slope[N], told[N_WARPS];
    double now[N_ROOM][N_PARAMETERS], trial[N_ROOM][N_PARAMETERS], step[N_ROOM][N_PARAMETERS];
    double number;
    int kind[N], chosen[N], n_chosen, answer;
    bool is_passive[N], is_moved[N_ROOM];
};

__device__ double sum_of_warp(double mine) {
    for (int distance = 16; distance > 0; distance /= 2) mine += __shfl_xor_sync(ALL_LANES, mine, distance);
    return mine;
}

__device__ double sum_of_block(double mine, Shared &shared) {
    mine = sum_of_warp(mine);
    if (threadIdx.x % 32 == 0) shared.told[threadIdx.x / 32] = mine;
    __syncthreads();
    double total = 0.0;
    for (int warp = 0; warp < N_WARPS; warp++) total += shared.told[warp];
    __syncthreads();
    return total;
}

// Where value (k = 0) or derivative k of moving phase p stands among the unknowns.
__device__ int row_of(int p, int k) { return k == 0 ? N_STATIC + p : N_LINEAR + N_PARAMETERS * p + k - 1; }

__device__ bool is_wanted(const Model &model, int p, int k) { return k == 0 || model.is_free[p * N_PARAMETERS + k - 1]; }
