// Filtered lines added to the voxels that their rays passed, each column by its own factor: one thread for a column of a voxel.
//
// As streaming/back_projection.py: the voxel at (x, y) lies at x cos + y sin + offset in points of a line, between two points
// values are interpolated linearly, beyond the ends nothing is added. All lines of a call are added up in a register, so that
// the volume is read and written once; the angular weight of a line, and what it was before, come as one factor.
//
// Floor for 550 x 550 voxels of 24 columns: 58 MB read and 58 MB written; lines of 0.1 MB stay in the cache. Some ten
// operations for each of 7.3 million columns and each line.

typedef long long i64;

// volume (n_voxels, n_voxels, n_columns): y, x, column. rows (n_lines, n_points, n_columns), factors (n_lines, n_columns);
// geometry (n_lines, 3): cosine and sine in points for each voxel, and the point that the axis projects to.
// Grid (blocks over n_voxels * n_columns, n_voxels).
extern "C" __global__ void back_project(
    double *volume, const double *rows, const double *factors, const double *geometry, int n_lines, int n_points, int n_voxels,
    int n_columns) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= n_voxels * n_columns) return;
    const int column = at % n_columns;
    const double middle = 0.5 * (n_voxels - 1), x = at / n_columns - middle, y = (int)blockIdx.y - middle;
    double total = 0.0;
    for (int line = 0; line < n_lines; line++) {
        const double place = x * geometry[3 * line] + y * geometry[3 * line + 1] + geometry[3 * line + 2];
        int lower = (int)floor(place);
        if (lower < 0 || lower >= n_points - 1) {
            if (place != n_points - 1) continue;
            lower = n_points - 2;
        }
        const double *left = rows + ((i64)line * n_points + lower) * n_columns + column;
        total += factors[line * n_columns + column] * (left[0] + (place - lower) * (left[n_columns] - left[0]));
    }
    volume[(i64)blockIdx.y * n_voxels * n_columns + at] += total;
}
