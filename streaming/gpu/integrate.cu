// Mean, its variance and the trimmed mean of every bin of every frame: one block for each bin of each frame, no sorting.
//
// The rule is that of streaming/integrate/reference.py: pixels stand in the order of corrected intensity (counts / correction,
// equal ones by falling correction), and those count that lie wholly between the cuts on the scale of summed corrections, or
// span both. Every thread holds some pixels of its bin in registers. A key is made of intensity and place, so that no two are
// equal, and the two pixels at which the sum of corrections crosses the cuts are found by bisection: each step counts the
// pixels up to two bounds and adds up their corrections, until there is only one left to be it. Corrections are whole numbers
// (float32 by a power of two), so that sums are exact and do not depend on the order of threads.
//
// Floor for 2.3 million pixels of 8 bits in 1,500 bins: reads 2.3 MB of counts at random and 18 MB of indices and corrections,
// which stay in the second-level cache from frame to frame. Some 15 steps of 2 comparisons and 2 additions of 64 bits a pixel:
// 0.15 G operations, and as many again in what threads tell each other.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifndef N_THREADS
#define N_THREADS 256
#endif
#ifndef N_ITEMS  // pixels of a thread: those of the fullest bin over N_THREADS
#define N_ITEMS 8
#endif
#ifndef N_SHIFT  // bits that the weights of a bin can add up to
#define N_SHIFT 44
#endif
#ifndef N_BITS  // of a count
#define N_BITS 8
#endif

#if N_BITS == 8
typedef unsigned char Count;
#elif N_BITS == 16
typedef unsigned short Count;
#else
typedef unsigned int Count;
#endif

#define N_WARPS (N_THREADS / 32)
#define ALL_LANES 0xFFFFFFFFu

struct Pair {
    i64 first, second;
};

// What the threads of a block tell each other; two halves in turn, so that one barrier is enough.
struct Board {
    Pair told[2][N_WARPS];
};

__device__ Pair sum_over_block(Pair mine, Board *board, int turn) {
    for (int distance = 16; distance > 0; distance /= 2) {
        mine.first += __shfl_xor_sync(ALL_LANES, mine.first, distance);
        mine.second += __shfl_xor_sync(ALL_LANES, mine.second, distance);
    }
    if (threadIdx.x % 32 == 0) board->told[turn][threadIdx.x / 32] = mine;
    __syncthreads();
    Pair total = {0, 0};
    for (int warp = 0; warp < N_WARPS; warp++) {
        total.first += board->told[turn][warp].first;
        total.second += board->told[turn][warp].second;
    }
    return total;
}

__device__ Pair largest_in_block(Pair mine, Board *board, int turn) {
    for (int distance = 16; distance > 0; distance /= 2) {
        i64 first = __shfl_xor_sync(ALL_LANES, mine.first, distance);
        i64 second = __shfl_xor_sync(ALL_LANES, mine.second, distance);
        mine.first = first > mine.first ? first : mine.first;
        mine.second = second > mine.second ? second : mine.second;
    }
    if (threadIdx.x % 32 == 0) board->told[turn][threadIdx.x / 32] = mine;
    __syncthreads();
    Pair most = board->told[turn][0];
    for (int warp = 1; warp < N_WARPS; warp++) {
        Pair other = board->told[turn][warp];
        most.first = other.first > most.first ? other.first : most.first;
        most.second = other.second > most.second ? other.second : most.second;
    }
    return most;
}

// The pixels that one thread holds; an excluded or absent one has weight and count 0, and the largest key.
struct Pixels {
    i64 key[N_ITEMS];
    int weight[N_ITEMS];
    u32 count[N_ITEMS];
};

#define NO_KEY 0x7FFFFFFFFFFFFFFFll

// Where a pixel of this count and weight stands, with as many zeros at the end as places have bits.
//
// Positive floating numbers have the order of their bits; what the zeros take of a double leaves 36 bits of mantissa or more.
__device__ i64 order_of(i64 count, int weight, bool is_apart, int n_bits) {
    return is_apart ? count << n_bits : __double_as_longlong(__ddiv_rn((double)count, (double)weight)) >> n_bits << n_bits;
}

// Give the pixels, whose keys are their places, the keys of their order; and the range of all keys of the bin.
//
// Where the widest correction of one count lies below the narrowest of the next, counts have the order of intensities, and keys
// are few: at low counts a third of the steps.
__device__ Pair make_keys(Pixels &pixels, i64 smallest, i64 largest, int widest, int narrowest, int n) {
    const bool is_apart = (double)largest * (widest - narrowest) < (double)narrowest;
    int n_bits = 0;
    while (n >> n_bits) n_bits++;
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++)
        if (pixels.key[item] != NO_KEY) pixels.key[item] += order_of(pixels.count[item], pixels.weight[item], is_apart, n_bits);
    return {order_of(smallest, widest, is_apart, n_bits), order_of(largest, narrowest, is_apart, n_bits) + n};
}

// How many pixels there are and what their weights add up to, in one number: one sum tells both.
#define ONE_PIXEL (1ll << N_SHIFT)

__device__ i64 number_of(i64 mass) { return mass >> N_SHIFT; }

__device__ double norm_of(i64 mass) { return (double)(mass & (ONE_PIXEL - 1)); }

__device__ Pair masses_up_to(const Pixels &pixels, i64 low, i64 high) {
    Pair sums = {0, 0};
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++) {
        const i64 mass = pixels.key[item] == NO_KEY ? 0 : ONE_PIXEL + pixels.weight[item];
        sums.first += pixels.key[item] <= low ? mass : 0;
        sums.second += pixels.key[item] <= high ? mass : 0;
    }
    return sums;
}

// Keys among which the pixel is that carries the sum of corrections over a cut; how many are before them, and up to the last.
struct Bracket {
    i64 begin, end, n_before, n_up_to;

    __device__ bool is_open() const { return n_up_to - n_before > 1; }

    __device__ bool holds(i64 key) const { return begin <= key && key <= end; }

    __device__ i64 middle() const { return begin + (end - begin) / 2; }

    __device__ void narrow(i64 mass, bool is_reached) {
        const i64 here = middle();
        if (is_reached) end = here, n_up_to = number_of(mass);
        else begin = here + 1, n_before = number_of(mass);
    }
};

// The mean of the pixels of a bin between the cuts, NaN where there is none; it is the board's second turn when this begins.
__device__ double trimmed_mean(const Pixels &pixels, Pair range, i64 mass, double low_cut, double high_cut, Board *board) {
    // A pixel carries the sum over the lower cut where it reaches the target, over the upper one where it exceeds it.
    const double norm = norm_of(mass), low_target = low_cut * norm, high_target = high_cut * norm;
    Bracket first = {0, -1, 0, 0}, last = {NO_KEY, NO_KEY - 1, 0, 0};
    if (low_target > 0.0) first = {range.first, range.second, 0, number_of(mass)};
    if (high_target < norm) last = {range.first, range.second, 0, number_of(mass)};
    int turn = 1;
    for (; first.is_open() || last.is_open(); turn = 1 - turn) {
        const Pair sums = sum_over_block(masses_up_to(pixels, first.middle(), last.middle()), board, turn);
        if (first.is_open()) first.narrow(sums.first, norm_of(sums.first) >= low_target);
        if (last.is_open()) last.narrow(sums.second, norm_of(sums.second) > high_target);
    }
    // Up to the first one with it, and up to the last one without it: a pixel that spans both cuts counts, too.
    const Pair sums = sum_over_block(masses_up_to(pixels, first.end, last.begin - 1), board, turn);
    const bool first_spans = norm_of(sums.first) >= high_target, last_spans = norm_of(sums.second) <= low_target;
    Pair kept = {0, 0};
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++) {
        const i64 key = pixels.key[item];
        const bool is_between = key > first.end && key < last.begin;
        const bool is_kept = is_between || (first.holds(key) && first_spans) || (last.holds(key) && last_spans);
        kept.first += is_kept ? (i64)pixels.count[item] : 0;
        kept.second += is_kept ? pixels.weight[item] : 0;
    }
    kept = sum_over_block(kept, board, 1 - turn);
    return kept.second > 0 ? (double)kept.first / (double)kept.second : nan("");
}

// frames (n_frames, n_frame); pixel_of_place and weight (n_places,), corrections are scale * weight; first and n_pixels
// (n_bins,) places of each bin. Gives results (n_frames, 3, n_bins): mean, variance, trimmed mean; adds to excluded (n_frames,
// 2): counts at or above the limit, below the largest of their type and at it. Grid (n_bins, n_frames).
extern "C" __global__ void __launch_bounds__(N_THREADS) integrate(
    const Count *frames, const u32 *pixel_of_place, const int *weight, const int *first, const int *n_pixels, i64 n_frame,
    u32 limit, double low_cut, double high_cut, double scale, double *results, u64 *excluded) {
    __shared__ Board board;
    const int bin = blockIdx.x, n_bins = gridDim.x, begin = first[bin], n = n_pixels[bin];
    const Count *frame = frames + (i64)blockIdx.y * n_frame;
    Pixels pixels;
    Pair sums = {0, 0}, n_out = {0, 0}, extremes = {-NO_KEY, -NO_KEY};
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++) {
        const int place = threadIdx.x + item * N_THREADS;
        pixels.key[item] = NO_KEY, pixels.weight[item] = 0, pixels.count[item] = 0;
        if (place >= n) continue;
        const Count count = frame[pixel_of_place[begin + place]];
        if ((u32)count >= limit) {
            if (count == (Count)0xFFFFFFFFu) n_out.second++;
            else n_out.first++;
            continue;
        }
        pixels.key[item] = place, pixels.weight[item] = weight[begin + place], pixels.count[item] = count;
        sums.first += count, sums.second += ONE_PIXEL + pixels.weight[item];
        extremes.first = -(i64)count > extremes.first ? -(i64)count : extremes.first;
        extremes.second = (i64)count > extremes.second ? (i64)count : extremes.second;
    }
    sums = sum_over_block(sums, &board, 0);
    n_out = sum_over_block(n_out, &board, 1);
    double mean = nan(""), variance = nan(""), trimmed = nan("");
    if (sums.second > 0) {
        const double signal = (double)sums.first, norm = scale * norm_of(sums.second);
        mean = signal / norm;
        variance = (signal > 1.0 ? signal : 1.0) / (norm * norm);
        trimmed = mean;
        if (low_cut > 0.0 || high_cut < 1.0) {
            extremes = largest_in_block(extremes, &board, 0);
            const Pair range = make_keys(pixels, -extremes.first, extremes.second, weight[begin], weight[begin + n - 1], n);
            trimmed = trimmed_mean(pixels, range, sums.second, low_cut, high_cut, &board) / scale;
        }
    }
    if (threadIdx.x == 0) {
        double *mine = results + 3 * (i64)blockIdx.y * n_bins + bin;
        mine[0] = mean, mine[n_bins] = variance, mine[2 * n_bins] = trimmed;
        if (n_out.first) atomicAdd(excluded + 2 * blockIdx.y, (u64)n_out.first);
        if (n_out.second) atomicAdd(excluded + 2 * blockIdx.y + 1, (u64)n_out.second);
    }
}
