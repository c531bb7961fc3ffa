"""Vectors of a fixed number of elements, for the few places where a compiled loop must be told which ones to take at once.

LLVM makes of them whatever the processor has. Numba finds vectors by itself in plain loops over one array; it does not where
loops are short, or where it cannot know that arrays do not overlap.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

EIGHT = 8


def place_of(context: Any, builder: Any, array_type: Any, array: Any, first: Any, n: int) -> Any:
    """Give the address of ``n`` elements of an array, from ``first`` on, as that of one vector."""
    element = context.get_data_type(array_type.dtype)
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [first]), ir.VectorType(element, n).as_pointer())


def spread(builder: Any, value: Any, n: int) -> Any:
    """Give a vector of one value."""
    one = builder.insert_element(ir.Constant(ir.VectorType(value.type, n), ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))


@intrinsic
def add_between(typing_context, target, at, rows, left, right, fraction):  # type: ignore[no-untyped-def]
    """Add to eight elements of ``target`` what lies between eight elements of ``rows`` and eight others; all float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, _, left_first, right_first, part = arguments
        goal = place_of(context, builder, signature.args[0], arguments[0], arguments[1], EIGHT)
        ends = [
            builder.load(place_of(context, builder, signature.args[2], arguments[2], first, EIGHT), align=8)
            for first in (left_first, right_first)
        ]
        flags = ("contract", "nsz")
        step = builder.fmul(spread(builder, part, EIGHT), builder.fsub(ends[1], ends[0], flags=flags), flags=flags)
        total = builder.fadd(builder.load(goal, align=8), builder.fadd(ends[0], step, flags=flags), flags=flags)
        builder.store(total, goal, align=8)
        return context.get_dummy_value()

    return types.void(target, types.int64, rows, types.int64, types.int64, types.float64), generate
