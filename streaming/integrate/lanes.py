"""Sixty-four places at once, for compiled loops: which of them count so much, and what their corrections add up to.

The answer to a comparison is a number of 64 bits, one for each place. Counting it is one instruction. Corrections stand as bit
planes: plane k of a block holds bit k of 64 whole numbers, so that the sum over some of them is the sum over k of 2^k times the
number of bits that plane and choice share. LLVM turns this into vectors as wide as the processor has; a comparison of 64 counts
of 8 bits and a sum of 64 corrections are about five and fifteen instructions with AVX-512.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from streaming.vectors import place_of, spread

LANES = 64
N_PLANES = 16
"""Bits of a correction within its bin: its rounding is 1.5e-7 of a correction where they differ by two percent."""

N_NUMBERS = 2**N_PLANES - 1
"""The largest number that planes hold."""

_WORD = ir.IntType(64)
_PLANES = ir.VectorType(_WORD, N_PLANES)


def planes_of(numbers: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Give the bit planes of whole numbers, shape (n_places / 64, 16), from shape (n_places,)."""
    bits = np.unpackbits(numbers.astype("<u2").view(np.uint8).reshape(-1, LANES, 2), axis=-1, bitorder="little")
    packed = np.packbits(bits.transpose(0, 2, 1), axis=-1, bitorder="little")
    planes: NDArray[np.uint64] = np.ascontiguousarray(packed).view("<u8").reshape(-1, N_PLANES).astype(np.uint64)
    return planes


def _load(context: Any, builder: Any, array_type: Any, array: Any, first: Any, n: int) -> Any:
    """Give ``n`` elements of an array from ``first`` on as one vector."""
    place = place_of(context, builder, array_type, array, first, n)
    return builder.load(place, align=context.get_abi_sizeof(context.get_data_type(array_type.dtype)))


def _comparison(predicate: str) -> Any:
    def which(typing_context, counts, begin, bound):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            array, first, value = arguments
            here = _load(context, builder, signature.args[0], array, first, LANES)
            return builder.bitcast(builder.icmp_unsigned(predicate, here, spread(builder, value, LANES)), _WORD)

        return types.uint64(counts, types.int64, counts.dtype), generate

    return intrinsic(which)


places_below = _comparison("<")
"""Tell by 64 bits which of ``counts[begin : begin + 64]`` are below the bound."""
places_at = _comparison("==")
"""Tell by 64 bits which of them are the bound."""


@intrinsic
def n_set(typing_context, bits):  # type: ignore[no-untyped-def]
    """Count the bits that are set."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def sum_of_counts(typing_context, counts, begin, bits):  # type: ignore[no-untyped-def]
    """Add up those of ``counts[begin : begin + 64]`` whose bit is set."""
    # Of narrow counts 64 fit 32 bits, and LLVM knows an instruction for them.
    wide = ir.VectorType(ir.IntType(32 if counts.dtype.bitwidth < 32 else 64), LANES)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, first, chosen = arguments
        here = _load(context, builder, signature.args[0], array, first, LANES)
        choice = builder.bitcast(chosen, ir.VectorType(ir.IntType(1), LANES))
        kept = builder.zext(builder.select(choice, here, ir.Constant(here.type, [0] * LANES)), wide)
        name = f"llvm.vector.reduce.add.v{LANES}i{wide.element.width}"
        add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(wide.element, [wide]), name)
        total = builder.call(add, [kept])
        return builder.zext(total, _WORD) if wide.element.width < 64 else total

    return types.int64(counts, types.int64, types.uint64), generate


@intrinsic
def sum_of_planes(typing_context, planes, block, bits):  # type: ignore[no-untyped-def]
    """Add up the whole numbers with the bit planes ``planes[block]``, of the places whose bit is set."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, row, chosen = arguments
        begin = builder.mul(row, ir.Constant(_WORD, N_PLANES))
        here = _load(context, builder, signature.args[0], array, begin, N_PLANES)
        count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_PLANES, [_PLANES]), "llvm.ctpop.v16i64")
        add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_WORD, [_PLANES]), "llvm.vector.reduce.add.v16i64")
        shared = builder.call(count, [builder.and_(here, spread(builder, chosen, N_PLANES))])
        return builder.call(add, [builder.shl(shared, ir.Constant(_PLANES, list(range(N_PLANES))))])

    return types.int64(planes, types.int64, types.uint64), generate
