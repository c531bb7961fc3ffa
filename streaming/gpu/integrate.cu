// Mean, its variance and the trimmed mean of every bin of every frame: one block for each bin of each frame, no sorting.
//
// The rule is that of streaming/integrate/reference.py: pixels stand in the order of corrected intensity (counts / correction,
// equal ones by falling correction), and those count that lie wholly between the cuts on the scale of summed corrections, or
// span both. Every thread holds some pixels of its bin in registers. A key is made of intensity and place, so that no two are
// equal, and the two keys at which the sum of corrections crosses the cuts are found by bisection: each step adds up the
// corrections of all pixels up to two bounds. Intensities are positive float32, whose bits are ordered as they are.
// Corrections are whole numbers (float32 by a power of two), so that sums are exact and do not depend on the order of threads.
//
// Floor for 2.3 million pixels of 8 bits in 1,500 bins: reads 2.3 MB of counts at random and 18 MB of indices and corrections,
// which stay in the second-level cache from frame to frame. Some 35 steps of 2 comparisons and 2 additions of 64 bits a pixel:
// 0.3 G operations.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#ifndef N_THREADS
#define N_THREADS 256
#endif
#ifndef N_ITEMS  // pixels of a thread: those of the fullest bin over N_THREADS
#define N_ITEMS 8
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

__device__ Pair norms_up_to(const Pixels &pixels, i64 low, i64 high) {
    Pair sums = {0, 0};
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++) {
        sums.first += pixels.key[item] <= low ? pixels.weight[item] : 0;
        sums.second += pixels.key[item] <= high ? pixels.weight[item] : 0;
    }
    return sums;
}

// The mean of the pixels of a bin between the cuts, NaN where there is none; it is the board's second turn when this begins.
__device__ double trimmed_mean(const Pixels &pixels, Pair range, i64 norm, double low_cut, double high_cut, Board *board) {
    // A pixel carries the sum over the lower cut where it reaches the target, over the upper one where it exceeds it.
    const double low_target = low_cut * (double)norm, high_target = high_cut * (double)norm;
    const bool has_first = low_target > 0.0, has_last = high_target < (double)norm;
    i64 low_begin = range.first, low_end = has_first ? range.second : range.first;
    i64 high_begin = range.first, high_end = has_last ? range.second : range.first;
    int turn = 1;
    while (low_begin < low_end || high_begin < high_end) {
        const i64 low = low_begin + (low_end - low_begin) / 2, high = high_begin + (high_end - high_begin) / 2;
        const Pair sums = sum_over_block(norms_up_to(pixels, low, high), board, turn);
        turn = 1 - turn;
        if (low_begin < low_end) {
            if ((double)sums.first >= low_target) low_end = low;
            else low_begin = low + 1;
        }
        if (high_begin < high_end) {
            if ((double)sums.second > high_target) high_end = high;
            else high_begin = high + 1;
        }
    }
    const i64 first = has_first ? low_end : -1, last = has_last ? high_end : NO_KEY;
    // Up to the first one with it, and up to the last one without it: a pixel that spans both cuts counts, too.
    const Pair sums = sum_over_block(norms_up_to(pixels, first, last - 1), board, turn);
    const bool first_spans = has_first && (double)sums.first >= high_target;
    const bool last_spans = has_last && (double)sums.second <= low_target;
    Pair kept = {0, 0};
#pragma unroll
    for (int item = 0; item < N_ITEMS; item++) {
        const i64 key = pixels.key[item];
        const bool is_kept = (key > first && key < last) || (key == first && first_spans) || (key == last && last_spans);
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
    int n_bits = 0;
    while (n >> n_bits) n_bits++;
    Pixels pixels;
    Pair sums = {0, 0}, n_out = {0, 0}, range = {-NO_KEY, -NO_KEY};
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
        const int here = weight[begin + place];
        const u32 intensity = __float_as_uint(__fdiv_rn((float)count, (float)here));
        pixels.key[item] = ((i64)intensity << n_bits) + place;
        pixels.weight[item] = here, pixels.count[item] = count;
        sums.first += count, sums.second += here;
        range.first = -pixels.key[item] > range.first ? -pixels.key[item] : range.first;
        range.second = pixels.key[item] > range.second ? pixels.key[item] : range.second;
    }
    sums = sum_over_block(sums, &board, 0);
    n_out = sum_over_block(n_out, &board, 1);
    double mean = nan(""), variance = nan(""), trimmed = nan("");
    if (sums.second > 0) {
        const double signal = (double)sums.first, norm = scale * (double)sums.second;
        mean = signal / norm;
        variance = (signal > 1.0 ? signal : 1.0) / (norm * norm);
        trimmed = mean;
        if (low_cut > 0.0 || high_cut < 1.0) {
            range = largest_in_block(range, &board, 0);
            range.first = -range.first;
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
