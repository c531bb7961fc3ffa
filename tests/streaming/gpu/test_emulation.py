"""The emulation itself: it must tell a kernel with a barrier missing from one that is right."""

import numpy as np
import pytest

from tests.streaming.gpu.emulated import EmulatedDevice

SOURCE = """
extern "C" __global__ void reverse(const int *given, int *found) {
    __shared__ int room[64];
    room[threadIdx.x] = given[blockIdx.x * 64 + threadIdx.x];
    BARRIER
    found[blockIdx.x * 64 + threadIdx.x] = room[63 - threadIdx.x] + blockIdx.y;
}
extern "C" __global__ void add_up(const int *given, int *found) {
    int mine = given[threadIdx.x];
    for (int distance = 16; distance > 0; distance /= 2) mine += __shfl_xor_sync(0xFFFFFFFFu, mine, distance);
    if (threadIdx.x % 32 == 0) atomicAdd(found, mine);
}
extern "C" __global__ void part(int *found) {
    if (threadIdx.x < 40) __syncthreads();
    found[threadIdx.x] = 1;
}
"""
GIVEN = np.arange(128, dtype=np.int32)


def run(
    device: EmulatedDevice, name: str, grid: tuple[int, int], *arguments: object, barrier: str = "__syncthreads();"
) -> None:
    source = SOURCE.replace("BARRIER", barrier)
    device.stream().launch(device.kernel_of(source, name, f"{len(barrier)}"), grid, 64, arguments)


def test_threads_meet_at_barriers_and_shuffles(emulated: EmulatedDevice) -> None:
    found, total = np.zeros(128, np.int32), np.zeros(1, np.int32)
    run(emulated, "reverse", (2, 3), GIVEN, found)
    assert found.tolist() == [*range(65, 1, -1), *range(129, 65, -1)]
    run(emulated, "add_up", (1, 1), GIVEN, total)
    assert total[0] == sum(range(64))


def test_a_missing_barrier_shows(emulated: EmulatedDevice) -> None:
    found = [np.zeros(128, np.int32) for _ in range(2)]
    for values, device in zip(found, (emulated, EmulatedDevice(emulated.folder, is_descending=True)), strict=True):
        run(device, "reverse", (2, 1), GIVEN, values, barrier="")
    assert not np.array_equal(*found)


def test_an_argument_of_another_size_is_an_error(emulated: EmulatedDevice) -> None:
    with pytest.raises(AssertionError):
        run(emulated, "part", (1, 1), np.float64(1.0), np.int32(1))


def test_threads_that_part_at_a_barrier_are_an_error(emulated: EmulatedDevice) -> None:
    with pytest.raises(RuntimeError, match="part at a barrier"):
        run(emulated, "part", (1, 1), np.zeros(64, np.int32))
