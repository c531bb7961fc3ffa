"""The moving phases of a pattern, drawn from tables: compiled, called in every step of a refinement."""

import math

import numba

_N_SUB = 16
"""As in :mod:`streaming.refine.tables`; the compiler wants it here."""


@numba.njit(
    "void(int64, int64, float64[::1], float64, float64[:,::1], float64[::1], float32[:,:,:,::1], float64[::1], float64[::1], "
    "float64, float64, float64, float64, boolean, float64[:,::1])",
    cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc", "arcp"}, error_model="numpy",
)  # fmt: skip
def draw_phase(  # type: ignore[no-untyped-def]
    first,
    last,
    lengths,
    width,
    metric,
    amplitude,
    table,
    widths,
    powers,
    volume,
    q_first_edge,
    q_step,
    wavelength,
    has_width,
    columns,
):
    """Draw unit mass of a phase and its derivatives by three lengths and the width, in place of ``columns`` (5, n_radial).

    What is not asked for is left out: the derivative by the third length of a cell that has two, and that by the width.
    """
    columns[:] = 0.0
    has_third = powers[2] != 0.0
    n_radial, n_window = columns.shape[1], table.shape[3]
    half = (n_window - 1) // 2
    inverse_volume = 1.0 / volume
    for k in range(3):
        inverse_volume /= lengths[k] ** powers[k]
    level = 0
    while level < widths.size - 2 and width >= widths[level + 1]:
        level += 1
    between = (width - widths[level]) / (widths[level + 1] - widths[level])
    per_width = 1.0 / (widths[level + 1] - widths[level])
    for r in range(first, last):
        total = 0.0
        for k in range(3):
            total += metric[r, k] / lengths[k] ** 2
        q = 2.0 * math.pi * math.sqrt(total)
        sine = q * wavelength / (4.0 * math.pi)
        if sine >= 0.999:
            continue
        height = amplitude[r] * inverse_volume / (2.0 * sine * sine * math.sqrt(1.0 - sine * sine))
        place = (q - q_first_edge) / q_step
        middle = math.floor(place)
        start = max(0, middle - half)
        stop = min(n_radial, middle + half + 1)
        if start >= stop:
            continue
        part = (place - middle) * _N_SUB
        sub = min(int(part), _N_SUB - 1)
        part -= sub
        # By how many bins the place moves with each length, and by what part of itself the height does.
        move_0 = -4.0 * math.pi**2 * metric[r, 0] / (lengths[0] ** 3 * q) / q_step
        move_1 = -4.0 * math.pi**2 * metric[r, 1] / (lengths[1] ** 3 * q) / q_step
        move_2 = -4.0 * math.pi**2 * metric[r, 2] / (lengths[2] ** 3 * q) / q_step
        grow = -2.0 * q_step / q
        grow_0 = grow * move_0 - powers[0] / lengths[0]
        grow_1 = grow * move_1 - powers[1] / lengths[1]
        grow_2 = grow * move_2 - powers[2] / lengths[2]
        shift = start - (middle - half)
        near, far = table[r, level, sub], table[r, level, sub + 1]
        if not has_width and not has_third and between == 0.0:
            for i in range(stop - start):
                rise = far[i + shift] - near[i + shift]
                value = height * (near[i + shift] + part * rise)
                along = height * _N_SUB * rise
                columns[0, start + i] += value
                columns[1, start + i] += along * move_0 + value * grow_0
                columns[2, start + i] += along * move_1 + value * grow_1
            continue
        wide_near, wide_far = table[r, level + 1, sub], table[r, level + 1, sub + 1]
        for i in range(stop - start):
            j = i + shift
            narrow = near[j] + part * (far[j] - near[j])
            wide = wide_near[j] + part * (wide_far[j] - wide_near[j])
            slope = (far[j] - near[j]) + between * ((wide_far[j] - wide_near[j]) - (far[j] - near[j]))
            value = height * (narrow + between * (wide - narrow))
            along = height * _N_SUB * slope
            columns[0, start + i] += value
            columns[1, start + i] += along * move_0 + value * grow_0
            columns[2, start + i] += along * move_1 + value * grow_1
            columns[3, start + i] += along * move_2 + value * grow_2
            columns[4, start + i] += height * (wide - narrow) * per_width
