# SPDX-License-Identifier: Apache-2.0
"""One method for each instruction. Printed by tools/instructions.py; do not edit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bcai.vm.builder import Dim, Value


class Instructions:
    """The instructions as methods; :class:`~bcai.vm.Builder` has them all."""

    def _add(
        self,
        instruction: str,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        dtype: object | None = None,
        shape: Sequence[int | Dim] | None = None,
    ) -> tuple[Value, ...]:
        raise NotImplementedError

    def Fill(
        self,
        *,
        dtype: object,
        shape: Sequence[int | Dim],
        value: float = 0.0,
        int_value: int = 0,
    ) -> Value:
        """every element is `value` (f32) or `int_value`.

        - ``dtype`` of the result
        - ``shape`` of the result
        - ``value`` of f32
        - ``int_value`` of the other dtypes

        Shape rule: any shape.
        Dtypes: f32, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Fill",
            (),
            {
                "value": value,
                "int_value": int_value,
            },
            dtype=dtype,
            shape=shape,
        )
        return results[0]

    def Iota(
        self,
        *,
        dtype: object,
        shape: Sequence[int | Dim],
        axis: int = 0,
    ) -> Value:
        """0, 1, 2, … along `axis`.

        - ``dtype`` of the result
        - ``shape`` of the result
        - ``axis`` counted from 0

        Shape rule: any shape of rank 1 or more; dtype f32, i64 or i32.
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Iota",
            (),
            {
                "axis": axis,
            },
            dtype=dtype,
            shape=shape,
        )
        return results[0]

    def Cast(
        self,
        x: Value,
        *,
        dtype: object,
    ) -> Value:
        """converts: float to integer truncates and saturates, NaN gives 0; to f16 and bf16 rounds
        to nearest even; to bool is x != 0.

        - ``x`` [..]
        - ``dtype`` of the result

        Shape rule: the shape of x; any dtype.
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Cast",
            (x,),
            {},
            dtype=dtype,
        )
        return results[0]

    def Reshape(
        self,
        x: Value,
        *,
        shape: Sequence[int | Dim],
    ) -> Value:
        """the same elements in row-major order under another shape.

        - ``x`` [..]
        - ``shape`` of the result

        Shape rule: as many elements as x (V10).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Reshape",
            (x,),
            {},
            shape=shape,
        )
        return results[0]

    def Transpose(
        self,
        x: Value,
        *,
        permutation: Sequence[int],
    ) -> Value:
        """result axis i is axis permutation[i] of x.

        - ``x`` [..]
        - ``permutation`` every axis once

        Shape rule: the axes of x, permuted (V13).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Transpose",
            (x,),
            {
                "permutation": permutation,
            },
        )
        return results[0]

    def Broadcast(
        self,
        x: Value,
        *,
        shape: Sequence[int | Dim],
    ) -> Value:
        """repeats x along axes of size 1 and new leading axes.

        - ``x`` [..]
        - ``shape`` of the result

        Shape rule: a shape that x broadcasts to (V11).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Broadcast",
            (x,),
            {},
            shape=shape,
        )
        return results[0]

    def Slice(
        self,
        x: Value,
        *,
        shape: Sequence[int | Dim],
        starts: Sequence[int | Dim],
        steps: Sequence[int] = (),
    ) -> Value:
        """result[i] = x[starts + i*steps] on every axis.

        - ``x`` [..]
        - ``shape`` of the result
        - ``starts`` first index on each axis
        - ``steps`` on each axis; [] is all 1

        Shape rule: starts + (size - 1)*steps inside x on every axis (V14).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Slice",
            (x,),
            {
                "starts": starts,
                "steps": steps,
            },
            shape=shape,
        )
        return results[0]

    def Concat(
        self,
        *x: Value,
        axis: int = 0,
    ) -> Value:
        """joins along `axis`.

        - ``x`` [..], repeated
        - ``axis`` counted from 0

        Shape rule: equal shapes but for `axis`, where the sizes add up (V14).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Concat",
            (*x,),
            {
                "axis": axis,
            },
        )
        return results[0]

    def Split(
        self,
        x: Value,
        *,
        sizes: Sequence[int | Dim],
        axis: int = 0,
    ) -> tuple[Value, ...]:
        """cuts along `axis` into pieces of `sizes`.

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``sizes`` of the pieces; they add up to the axis

        Shape rule: sizes add up to the axis exactly (V14).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Split",
            (x,),
            {
                "axis": axis,
                "sizes": sizes,
            },
        )
        return results

    def Pad(
        self,
        x: Value,
        *,
        low: Sequence[int],
        high: Sequence[int],
        value: float = 0.0,
        int_value: int = 0,
        mode: Literal[
            "constant", "reflect", "edge"
        ] = "constant",
    ) -> Value:
        """adds `low` and `high` elements on every axis: `value` (f32) or `int_value`, or by `mode`.

        - ``x`` [..]
        - ``low`` elements before each axis
        - ``high`` elements after each axis
        - ``value`` of f32 padding
        - ``int_value`` of other padding
        - ``mode`` constant, the mirrored inside, or the edge repeated

        Shape rule: low + size + high on every axis (V14).
        Dtypes: f32, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Pad",
            (x,),
            {
                "low": low,
                "high": high,
                "value": value,
                "int_value": int_value,
                "mode": mode,
            },
        )
        return results[0]

    def Reverse(
        self,
        x: Value,
        *,
        axes: Sequence[int],
    ) -> Value:
        """reverses the order along `axes`.

        - ``x`` [..]
        - ``axes`` ascending, each once

        Shape rule: the shape of x (V13).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Reverse",
            (x,),
            {
                "axes": axes,
            },
        )
        return results[0]

    def Neg(
        self,
        x: Value,
    ) -> Value:
        """-x; integers wrap.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32, i64, i32, i8.
        """
        results = self._add(
            "Neg",
            (x,),
            {},
        )
        return results[0]

    def Abs(
        self,
        x: Value,
    ) -> Value:
        """|x|; integers wrap.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32, i64, i32, i8.
        """
        results = self._add(
            "Abs",
            (x,),
            {},
        )
        return results[0]

    def Sign(
        self,
        x: Value,
    ) -> Value:
        """-1, 0 or 1; NaN stays.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32, i64, i32, i8.
        """
        results = self._add(
            "Sign",
            (x,),
            {},
        )
        return results[0]

    def Exp(
        self,
        x: Value,
    ) -> Value:
        """e^x.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Exp",
            (x,),
            {},
        )
        return results[0]

    def Log(
        self,
        x: Value,
    ) -> Value:
        """natural logarithm.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Log",
            (x,),
            {},
        )
        return results[0]

    def Sqrt(
        self,
        x: Value,
    ) -> Value:
        """IEEE square root.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Sqrt",
            (x,),
            {},
        )
        return results[0]

    def Rsqrt(
        self,
        x: Value,
    ) -> Value:
        """1 / sqrt(x), both IEEE.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Rsqrt",
            (x,),
            {},
        )
        return results[0]

    def Recip(
        self,
        x: Value,
    ) -> Value:
        """1 / x, IEEE.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Recip",
            (x,),
            {},
        )
        return results[0]

    def Sin(
        self,
        x: Value,
    ) -> Value:
        """sine of radians.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Sin",
            (x,),
            {},
        )
        return results[0]

    def Cos(
        self,
        x: Value,
    ) -> Value:
        """cosine of radians.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Cos",
            (x,),
            {},
        )
        return results[0]

    def Tanh(
        self,
        x: Value,
    ) -> Value:
        """hyperbolic tangent.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Tanh",
            (x,),
            {},
        )
        return results[0]

    def Erf(
        self,
        x: Value,
    ) -> Value:
        """error function.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Erf",
            (x,),
            {},
        )
        return results[0]

    def Sigmoid(
        self,
        x: Value,
    ) -> Value:
        """1 / (1 + e^-x).

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Sigmoid",
            (x,),
            {},
        )
        return results[0]

    def Relu(
        self,
        x: Value,
    ) -> Value:
        """x if x > 0, else +0; NaN stays.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32, i64, i32, i8.
        """
        results = self._add(
            "Relu",
            (x,),
            {},
        )
        return results[0]

    def Gelu(
        self,
        x: Value,
        *,
        approximate: Literal[
            "erf", "tanh"
        ] = "erf",
    ) -> Value:
        """x * Phi(x), by erf or by the tanh form.

        - ``x`` [..]
        - ``approximate`` erf, or 0.5x(1 + tanh(√(2/π)(x + 0.044715x³)))

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Gelu",
            (x,),
            {
                "approximate": approximate,
            },
        )
        return results[0]

    def Silu(
        self,
        x: Value,
    ) -> Value:
        """x * sigmoid(x).

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Silu",
            (x,),
            {},
        )
        return results[0]

    def Floor(
        self,
        x: Value,
    ) -> Value:
        """rounds towards minus infinity.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Floor",
            (x,),
            {},
        )
        return results[0]

    def Ceil(
        self,
        x: Value,
    ) -> Value:
        """rounds towards plus infinity.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Ceil",
            (x,),
            {},
        )
        return results[0]

    def Round(
        self,
        x: Value,
    ) -> Value:
        """rounds to nearest, ties to even.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Round",
            (x,),
            {},
        )
        return results[0]

    def Not(
        self,
        x: Value,
    ) -> Value:
        """logical not.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: bool.
        """
        results = self._add(
            "Not",
            (x,),
            {},
        )
        return results[0]

    def HardSigmoid(
        self,
        x: Value,
        *,
        alpha: float = 0.2,
        beta: float = 0.5,
    ) -> Value:
        """min(max(alpha*x + beta, 0), 1), alpha*x + beta rounded once.

        - ``x`` [..]
        - ``alpha`` slope
        - ``beta`` offset

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "HardSigmoid",
            (x,),
            {
                "alpha": alpha,
                "beta": beta,
            },
        )
        return results[0]

    def HardSwish(
        self,
        x: Value,
    ) -> Value:
        """x * HardSigmoid(x) with alpha 1/6, beta 1/2.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "HardSwish",
            (x,),
            {},
        )
        return results[0]

    def LeakyRelu(
        self,
        x: Value,
        *,
        alpha: float = 0.01,
    ) -> Value:
        """x if x >= 0, else alpha*x.

        - ``x`` [..]
        - ``alpha`` slope below 0

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "LeakyRelu",
            (x,),
            {
                "alpha": alpha,
            },
        )
        return results[0]

    def Softplus(
        self,
        x: Value,
    ) -> Value:
        """log(1 + e^x), as max(x, 0) + log(1 + e^-|x|).

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Softplus",
            (x,),
            {},
        )
        return results[0]

    def Clamp(
        self,
        x: Value,
        *,
        min: float,
        max: float,
    ) -> Value:
        """min(max(x, min), max); NaN stays.

        - ``x`` [..]
        - ``min`` least result
        - ``max`` greatest result, at least min

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Clamp",
            (x,),
            {
                "min": min,
                "max": max,
            },
        )
        return results[0]

    def IsNan(
        self,
        x: Value,
    ) -> Value:
        """whether x is not a number.

        - ``x`` [..]

        Shape rule: bool of the shape of x.
        Dtypes: f32.
        """
        results = self._add(
            "IsNan",
            (x,),
            {},
        )
        return results[0]

    def Trunc(
        self,
        x: Value,
    ) -> Value:
        """rounds towards zero.

        - ``x`` [..]

        Shape rule: the type of x.
        Dtypes: f32.
        """
        results = self._add(
            "Trunc",
            (x,),
            {},
        )
        return results[0]

    def Add(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """a + b; integers wrap.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Add",
            (a, b),
            {},
        )
        return results[0]

    def Sub(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """a - b; integers wrap.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Sub",
            (a, b),
            {},
        )
        return results[0]

    def Mul(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """a * b; integers wrap.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Mul",
            (a, b),
            {},
        )
        return results[0]

    def Div(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """a / b; integers truncate, division by zero gives 0.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Div",
            (a, b),
            {},
        )
        return results[0]

    def Pow(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """a to the power b.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32.
        """
        results = self._add(
            "Pow",
            (a, b),
            {},
        )
        return results[0]

    def Max(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """the larger; NaN if either is; a zero is +0.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Max",
            (a, b),
            {},
        )
        return results[0]

    def Min(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """the smaller; NaN if either is; a zero is +0.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "Min",
            (a, b),
            {},
        )
        return results[0]

    def Mod(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """remainder with the sign of b; 0 when b is 0.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: i64, i32, i8, u8.
        """
        results = self._add(
            "Mod",
            (a, b),
            {},
        )
        return results[0]

    def And(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """bit by bit.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: i64, i32, i8, u8, bool.
        """
        results = self._add(
            "And",
            (a, b),
            {},
        )
        return results[0]

    def Or(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """bit by bit.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Or",
            (a, b),
            {},
        )
        return results[0]

    def Xor(
        self,
        a: Value,
        b: Value,
    ) -> Value:
        """bit by bit.

        - ``a`` [..]
        - ``b`` [..]

        Shape rule: a and b broadcast (V11).
        Dtypes: i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Xor",
            (a, b),
            {},
        )
        return results[0]

    def Compare(
        self,
        a: Value,
        b: Value,
        *,
        predicate: Literal[
            "eq", "ne", "lt", "le", "gt", "ge"
        ],
    ) -> Value:
        """a `predicate` b; NaN is unequal to all.

        - ``a`` [..]
        - ``b`` [..]
        - ``predicate`` how a is compared with b

        Shape rule: bool; a and b broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Compare",
            (a, b),
            {
                "predicate": predicate,
            },
        )
        return results[0]

    def Select(
        self,
        condition: Value,
        a: Value,
        b: Value,
    ) -> Value:
        """a where the condition holds, else b.

        - ``condition`` bool[..]
        - ``a`` [..]
        - ``b`` [..]

        Shape rule: all three broadcast (V11).
        Dtypes: f32, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Select",
            (condition, a, b),
            {},
        )
        return results[0]

    def ReduceSum(
        self,
        x: Value,
        *,
        axes: Sequence[int],
        keep_dims: bool = False,
    ) -> Value:
        """sum over `axes`, f32 in the order of numerics rule R4; integers wrap.

        - ``x`` [..]
        - ``axes`` ascending, each once
        - ``keep_dims`` keep reduced axes with size 1

        Shape rule: x without `axes`, or with size 1 there; none of them empty (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "ReduceSum",
            (x,),
            {
                "axes": axes,
                "keep_dims": keep_dims,
            },
        )
        return results[0]

    def ReduceMean(
        self,
        x: Value,
        *,
        axes: Sequence[int],
        keep_dims: bool = False,
    ) -> Value:
        """sum divided by the count.

        - ``x`` [..]
        - ``axes`` ascending, each once
        - ``keep_dims`` keep reduced axes with size 1

        Shape rule: x without `axes`, or with size 1 there; none of them empty (V13).
        Dtypes: f32.
        """
        results = self._add(
            "ReduceMean",
            (x,),
            {
                "axes": axes,
                "keep_dims": keep_dims,
            },
        )
        return results[0]

    def ReduceMax(
        self,
        x: Value,
        *,
        axes: Sequence[int],
        keep_dims: bool = False,
    ) -> Value:
        """the largest; NaN if one is.

        - ``x`` [..]
        - ``axes`` ascending, each once
        - ``keep_dims`` keep reduced axes with size 1

        Shape rule: x without `axes`, or with size 1 there; none of them empty (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "ReduceMax",
            (x,),
            {
                "axes": axes,
                "keep_dims": keep_dims,
            },
        )
        return results[0]

    def ReduceMin(
        self,
        x: Value,
        *,
        axes: Sequence[int],
        keep_dims: bool = False,
    ) -> Value:
        """the smallest; NaN if one is.

        - ``x`` [..]
        - ``axes`` ascending, each once
        - ``keep_dims`` keep reduced axes with size 1

        Shape rule: x without `axes`, or with size 1 there; none of them empty (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "ReduceMin",
            (x,),
            {
                "axes": axes,
                "keep_dims": keep_dims,
            },
        )
        return results[0]

    def ReduceProd(
        self,
        x: Value,
        *,
        axes: Sequence[int],
        keep_dims: bool = False,
    ) -> Value:
        """product, in the order of rule R4.

        - ``x`` [..]
        - ``axes`` ascending, each once
        - ``keep_dims`` keep reduced axes with size 1

        Shape rule: x without `axes`, or with size 1 there; none of them empty (V13).
        Dtypes: f32.
        """
        results = self._add(
            "ReduceProd",
            (x,),
            {
                "axes": axes,
                "keep_dims": keep_dims,
            },
        )
        return results[0]

    def ArgMax(
        self,
        x: Value,
        *,
        axis: int,
        keep_dims: bool = False,
        select_last_index: bool = False,
    ) -> Value:
        """index of the largest; the first of equals; NaN is largest.

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``keep_dims`` keep the axis with size 1
        - ``select_last_index`` the last of equals instead of the first

        Shape rule: i64; x without `axis`, or with size 1 there (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "ArgMax",
            (x,),
            {
                "axis": axis,
                "keep_dims": keep_dims,
                "select_last_index": select_last_index,
            },
        )
        return results[0]

    def ArgMin(
        self,
        x: Value,
        *,
        axis: int,
        keep_dims: bool = False,
        select_last_index: bool = False,
    ) -> Value:
        """index of the smallest; the first of equals; NaN is smallest.

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``keep_dims`` keep the axis with size 1
        - ``select_last_index`` the last of equals instead of the first

        Shape rule: i64; x without `axis`, or with size 1 there (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "ArgMin",
            (x,),
            {
                "axis": axis,
                "keep_dims": keep_dims,
                "select_last_index": select_last_index,
            },
        )
        return results[0]

    def CumSum(
        self,
        x: Value,
        *,
        axis: int,
        reverse: bool = False,
        exclusive: bool = False,
    ) -> Value:
        """running sum along `axis`, one rounding each.

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``reverse`` from the end
        - ``exclusive`` without the element itself

        Shape rule: the type of x (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "CumSum",
            (x,),
            {
                "axis": axis,
                "reverse": reverse,
                "exclusive": exclusive,
            },
        )
        return results[0]

    def TopK(
        self,
        x: Value,
        *,
        axis: int,
        k: int,
        largest: Literal[
            "largest", "smallest"
        ] = "largest",
    ) -> tuple[Value, Value]:
        """the k largest (or smallest) along `axis`, best first, lower index first among equals.

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``k`` how many
        - ``largest`` which end

        Results: values, indices.
        Shape rule: x with k elements on `axis`; indices are i64 (V13).
        Dtypes: f32, i64, i32, i8, u8.
        """
        results = self._add(
            "TopK",
            (x,),
            {
                "axis": axis,
                "k": k,
                "largest": largest,
            },
        )
        return results[0], results[1]

    def TensorMatMul(
        self,
        a: Value,
        b: Value,
        bias: Value | None = None,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        activation: Literal[
            "none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "hard_swish"
        ] = "none",
    ) -> Value:
        """a · b, then + bias, then the activation; each output is one chain of fused multiply-adds
        over ascending k.

        - ``a`` [..,M,K]
        - ``b`` [..,K,N]
        - ``bias`` [N], optional
        - ``transpose_a`` a is [..,K,M]
        - ``transpose_b`` b is [..,N,K]
        - ``activation`` applied last, rounded on its own

        Shape rule: [..,M,N]; inner dimensions equal, batch dimensions broadcast (V12).
        Dtypes: f32.
        """
        results = self._add(
            "TensorMatMul",
            (a, b, bias),
            {
                "transpose_a": transpose_a,
                "transpose_b": transpose_b,
                "activation": activation,
            },
        )
        return results[0]

    def ConvolutionForward(
        self,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Sequence[int] = (),
        pads_low: Sequence[int] = (),
        pads_high: Sequence[int] = (),
        dilations: Sequence[int] = (),
        groups: int = 1,
        activation: Literal[
            "none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "hard_swish"
        ] = "none",
    ) -> Value:
        """cross-correlation over 1 to 3 spatial axes, then + bias, then the activation; taps in the
        order (kernel position, channel).

        - ``x`` [N,C,..]
        - ``weight`` [O,C/groups,k..]
        - ``bias`` [O], optional
        - ``strides`` on each spatial axis; [] is all 1
        - ``pads_low`` before each spatial axis; [] is none
        - ``pads_high`` after each spatial axis; [] is none
        - ``dilations`` on each spatial axis; [] is all 1
        - ``groups`` groups of channels
        - ``activation`` applied last, rounded on its own

        Shape rule: [N,O,..]; each extent (in + pads - (dilation*(k - 1) + 1))/stride + 1 (V9).
        Dtypes: f32.
        """
        results = self._add(
            "ConvolutionForward",
            (x, weight, bias),
            {
                "strides": strides,
                "pads_low": pads_low,
                "pads_high": pads_high,
                "dilations": dilations,
                "groups": groups,
                "activation": activation,
            },
        )
        return results[0]

    def ConvolutionTranspose(
        self,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Sequence[int] = (),
        pads_low: Sequence[int] = (),
        pads_high: Sequence[int] = (),
        dilations: Sequence[int] = (),
        groups: int = 1,
        output_padding: Sequence[int] = (),
        activation: Literal[
            "none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "hard_swish"
        ] = "none",
    ) -> Value:
        """the transpose of ConvolutionForward, then + bias, then the activation.

        - ``x`` [N,C,..]
        - ``weight`` [C,O/groups,k..]
        - ``bias`` [O], optional
        - ``strides`` on each spatial axis; [] is all 1
        - ``pads_low`` before each spatial axis; [] is none
        - ``pads_high`` after each spatial axis; [] is none
        - ``dilations`` on each spatial axis; [] is all 1
        - ``groups`` groups of channels
        - ``output_padding`` added to the result's end; [] is none
        - ``activation`` applied last, rounded on its own

        Shape rule: [N,O,..]; each extent (in - 1)*stride + dilation*(k - 1) + 1 + output_padding -
        pads (V9).
        Dtypes: f32.
        """
        results = self._add(
            "ConvolutionTranspose",
            (x, weight, bias),
            {
                "strides": strides,
                "pads_low": pads_low,
                "pads_high": pads_high,
                "dilations": dilations,
                "groups": groups,
                "output_padding": output_padding,
                "activation": activation,
            },
        )
        return results[0]

    def MaxPool(
        self,
        x: Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] = (),
        pads_low: Sequence[int] = (),
        pads_high: Sequence[int] = (),
        dilations: Sequence[int] = (),
        rounding: Literal[
            "floor", "ceil"
        ] = "floor",
    ) -> Value:
        """largest of each window; padding is not in it.

        - ``x`` [N,C,..]
        - ``kernel`` extent on each spatial axis
        - ``strides`` on each spatial axis; [] is all 1
        - ``pads_low`` before each spatial axis; [] is none
        - ``pads_high`` after each spatial axis; [] is none
        - ``dilations`` on each spatial axis; [] is all 1
        - ``rounding`` of the result's extent

        Shape rule: [N,C,..]; extents as in ConvolutionForward, rounded as `rounding` says; pads
        below the kernel's extent (V9).
        Dtypes: f32.
        """
        results = self._add(
            "MaxPool",
            (x,),
            {
                "kernel": kernel,
                "strides": strides,
                "pads_low": pads_low,
                "pads_high": pads_high,
                "dilations": dilations,
                "rounding": rounding,
            },
        )
        return results[0]

    def AveragePool(
        self,
        x: Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] = (),
        pads_low: Sequence[int] = (),
        pads_high: Sequence[int] = (),
        dilations: Sequence[int] = (),
        count_include_pad: bool = False,
        rounding: Literal[
            "floor", "ceil"
        ] = "floor",
    ) -> Value:
        """mean of each window, summed by rule R4.

        - ``x`` [N,C,..]
        - ``kernel`` extent on each spatial axis
        - ``strides`` on each spatial axis; [] is all 1
        - ``pads_low`` before each spatial axis; [] is none
        - ``pads_high`` after each spatial axis; [] is none
        - ``dilations`` on each spatial axis; [] is all 1
        - ``count_include_pad`` divide by the kernel's size at edges too
        - ``rounding`` of the result's extent

        Shape rule: [N,C,..]; extents as in ConvolutionForward, rounded as `rounding` says; pads
        below the kernel's extent (V9).
        Dtypes: f32.
        """
        results = self._add(
            "AveragePool",
            (x,),
            {
                "kernel": kernel,
                "strides": strides,
                "pads_low": pads_low,
                "pads_high": pads_high,
                "dilations": dilations,
                "count_include_pad": count_include_pad,
                "rounding": rounding,
            },
        )
        return results[0]

    def Resize(
        self,
        x: Value,
        *,
        shape: Sequence[int | Dim],
        mode: Literal[
            "nearest", "linear"
        ] = "nearest",
        coordinates: Literal[
            "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"
        ] = "half_pixel",
        rounding: Literal[
            "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"
        ] = "round_prefer_floor",
    ) -> Value:
        """resamples the spatial axes to the stated size.

        - ``x`` [N,C,..]
        - ``shape`` of the result
        - ``mode`` nearest neighbour or linear
        - ``coordinates`` where a result's sample lies in x
        - ``rounding`` of a nearest sample's position

        Shape rule: N and C of x, any spatial size (V9).
        Dtypes: f32.
        """
        results = self._add(
            "Resize",
            (x,),
            {
                "mode": mode,
                "coordinates": coordinates,
                "rounding": rounding,
            },
            shape=shape,
        )
        return results[0]

    def Softmax(
        self,
        x: Value,
        *,
        axis: int,
        log: bool = False,
    ) -> Value:
        """e^(x - max) / sum along `axis`; with `log`, x - max - log(sum).

        - ``x`` [..]
        - ``axis`` counted from 0
        - ``log`` the logarithm of it

        Shape rule: the type of x; `axis` not empty (V13).
        Dtypes: f32.
        """
        results = self._add(
            "Softmax",
            (x,),
            {
                "axis": axis,
                "log": log,
            },
        )
        return results[0]

    def LayerNorm(
        self,
        x: Value,
        scale: Value | None = None,
        bias: Value | None = None,
        *,
        epsilon: float = 1e-05,
    ) -> Value:
        """(x - mean) / sqrt(variance + epsilon) over the last axis, * scale + bias.

        - ``x`` [..,D]
        - ``scale`` [D], optional
        - ``bias`` [D], optional
        - ``epsilon`` added to the variance

        Shape rule: the type of x; the last axis not empty (V13).
        Dtypes: f32.
        """
        results = self._add(
            "LayerNorm",
            (x, scale, bias),
            {
                "epsilon": epsilon,
            },
        )
        return results[0]

    def RMSNorm(
        self,
        x: Value,
        scale: Value | None = None,
        *,
        epsilon: float = 1e-05,
    ) -> Value:
        """x / sqrt(mean(x^2) + epsilon) over the last axis, * scale.

        - ``x`` [..,D]
        - ``scale`` [D], optional
        - ``epsilon`` added to the variance

        Shape rule: the type of x; the last axis not empty (V13).
        Dtypes: f32.
        """
        results = self._add(
            "RMSNorm",
            (x, scale),
            {
                "epsilon": epsilon,
            },
        )
        return results[0]

    def BatchNormInfer(
        self,
        x: Value,
        scale: Value,
        bias: Value,
        mean: Value,
        variance: Value,
        *,
        epsilon: float = 1e-05,
    ) -> Value:
        """(x - mean) / sqrt(variance + epsilon) * scale + bias for each channel (axis 1).

        - ``x`` [N,C,..]
        - ``scale`` [C]
        - ``bias`` [C]
        - ``mean`` [C]
        - ``variance`` [C]
        - ``epsilon`` added to the variance

        Shape rule: the type of x (V13).
        Dtypes: f32.
        """
        results = self._add(
            "BatchNormInfer",
            (x, scale, bias, mean, variance),
            {
                "epsilon": epsilon,
            },
        )
        return results[0]

    def GroupNorm(
        self,
        x: Value,
        scale: Value,
        bias: Value,
        *,
        groups: int,
        epsilon: float = 1e-05,
    ) -> Value:
        """normalises each group of channels (axis 1), then * scale + bias for each channel.

        - ``x`` [N,C,..]
        - ``scale`` [C]
        - ``bias`` [C]
        - ``groups`` groups of channels
        - ``epsilon`` added to the variance

        Shape rule: the type of x; C divides into the groups (V13).
        Dtypes: f32.
        """
        results = self._add(
            "GroupNorm",
            (x, scale, bias),
            {
                "groups": groups,
                "epsilon": epsilon,
            },
        )
        return results[0]

    def TransformerAttention(
        self,
        query: Value,
        key: Value,
        value: Value,
        mask: Value | None = None,
        length: Value | None = None,
        *,
        heads: int,
        scale: float,
        kv_heads: int = 0,
        causal: bool = False,
        window: int = 0,
    ) -> Value:
        """softmax(q·kᵀ * scale + mask) · v for each head; zeros where every key is masked.

        - ``query`` [B,S,heads*D]
        - ``key`` [B,T,kv_heads*D]
        - ``value`` [B,T,kv_heads*E]
        - ``mask`` broadcast to [B,heads,S,T], optional
        - ``length`` i32[] or i32[B]: only the first `length` keys count, optional
        - ``heads`` query heads
        - ``kv_heads`` key and value heads; 0 is as many as query heads
        - ``scale`` of q·k
        - ``causal`` keys after the query are out
        - ``window`` keys this far before the query are out; 0 is none

        Shape rule: [B,S,heads*E]; heads divide by kv_heads (V12). With `causal`, query s stands at
        position length - S + s.
        Dtypes: f32.
        """
        results = self._add(
            "TransformerAttention",
            (query, key, value, mask, length),
            {
                "heads": heads,
                "kv_heads": kv_heads,
                "scale": scale,
                "causal": causal,
                "window": window,
            },
        )
        return results[0]

    def RotaryEmbed(
        self,
        x: Value,
        cosine: Value,
        sine: Value,
        *,
        heads: int,
        interleaved: bool = False,
    ) -> Value:
        """rotates pairs of each head's first elements by the angles whose cosine and sine are
        given.

        - ``x`` [B,S,heads*D]
        - ``cosine`` [S,R] or [B,S,R]
        - ``sine`` as cosine
        - ``heads`` heads in the last axis
        - ``interleaved`` pairs are neighbours, not halves apart

        Shape rule: the type of x; 2R <= D (V12).
        Dtypes: f32.
        """
        results = self._add(
            "RotaryEmbed",
            (x, cosine, sine),
            {
                "heads": heads,
                "interleaved": interleaved,
            },
        )
        return results[0]

    def KVCacheAppend(
        self,
        state: Value,
        x: Value,
        position: Value,
    ) -> Value:
        """writes x into the state's rows [position, position + S).

        - ``state`` state [B,L,W]
        - ``x`` [B,S,W]
        - ``position`` i32[]

        Shape rule: the state; rows outside end the run (V14, V15).
        Dtypes: f32.
        """
        results = self._add(
            "KVCacheAppend",
            (state, x, position),
            {},
        )
        return results[0]

    def KVCacheRead(
        self,
        state: Value,
    ) -> tuple[Value, Value]:
        """the state's tensor, and the state again.

        - ``state`` state [..]

        Results: y, state.
        Shape rule: the state's tensor, and the state.
        Dtypes: f32.
        """
        results = self._add(
            "KVCacheRead",
            (state,),
            {},
        )
        return results[0], results[1]

    def EmbeddingLookup(
        self,
        table: Value,
        indices: Value,
        *,
        out_of_range: Literal[
            "trap", "clamp"
        ] = "trap",
    ) -> Value:
        """rows of a table by index.

        - ``table`` [V,D]
        - ``indices`` i32 or i64 [..]
        - ``out_of_range`` what an index outside does: ends the run, or counts as nearest

        Shape rule: [..,D]; indices are checked when it runs (V15).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "EmbeddingLookup",
            (table, indices),
            {
                "out_of_range": out_of_range,
            },
        )
        return results[0]

    def Gather(
        self,
        x: Value,
        indices: Value,
        *,
        axis: int,
        out_of_range: Literal[
            "trap", "clamp"
        ] = "trap",
    ) -> Value:
        """slices of x along `axis` by index.

        - ``x`` [..]
        - ``indices`` i32 or i64 [..]
        - ``axis`` counted from 0
        - ``out_of_range`` what an index outside does: ends the run, or counts as nearest

        Shape rule: x with `axis` replaced by the axes of indices (V15).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "Gather",
            (x, indices),
            {
                "axis": axis,
                "out_of_range": out_of_range,
            },
        )
        return results[0]

    def GatherElements(
        self,
        x: Value,
        indices: Value,
        *,
        axis: int,
        out_of_range: Literal[
            "trap", "clamp"
        ] = "trap",
    ) -> Value:
        """elements of x along `axis`, one index for each result.

        - ``x`` [..]
        - ``indices`` i32 or i64, the rank of x
        - ``axis`` counted from 0
        - ``out_of_range`` what an index outside does: ends the run, or counts as nearest

        Shape rule: the shape of indices, which exceeds x on no other axis (V15).
        Dtypes: f32, f16, bf16, i64, i32, i8, u8, bool.
        """
        results = self._add(
            "GatherElements",
            (x, indices),
            {
                "axis": axis,
                "out_of_range": out_of_range,
            },
        )
        return results[0]

    def LSTM(
        self,
        x: Value,
        weight: Value,
        recurrence: Value,
        bias: Value | None = None,
        hidden: Value | None = None,
        cell: Value | None = None,
        *,
        hidden_size: int,
        direction: Literal[
            "forward", "reverse", "bidirectional"
        ] = "forward",
    ) -> tuple[Value, Value, Value]:
        """long short-term memory over the first axis; gates i, o, f, c.

        - ``x`` [S,B,I]
        - ``weight`` [directions,4H,I]
        - ``recurrence`` [directions,4H,H]
        - ``bias`` [directions,8H]: of weight, then of recurrence, optional
        - ``hidden`` [directions,B,H], optional
        - ``cell`` [directions,B,H], optional
        - ``direction`` order of the steps
        - ``hidden_size`` width of the state

        Results: y, hidden, cell.
        Shape rule: y is [S,directions,B,H]; hidden and cell are [directions,B,H] (V13).
        Dtypes: f32.
        """
        results = self._add(
            "LSTM",
            (x, weight, recurrence, bias, hidden, cell),
            {
                "direction": direction,
                "hidden_size": hidden_size,
            },
        )
        return results[0], results[1], results[2]

    def GRU(
        self,
        x: Value,
        weight: Value,
        recurrence: Value,
        bias: Value | None = None,
        hidden: Value | None = None,
        *,
        hidden_size: int,
        direction: Literal[
            "forward", "reverse", "bidirectional"
        ] = "forward",
        linear_before_reset: bool = False,
    ) -> tuple[Value, Value]:
        """gated recurrent unit over the first axis; gates z, r, h.

        - ``x`` [S,B,I]
        - ``weight`` [directions,3H,I]
        - ``recurrence`` [directions,3H,H]
        - ``bias`` [directions,6H]: of weight, then of recurrence, optional
        - ``hidden`` [directions,B,H], optional
        - ``direction`` order of the steps
        - ``hidden_size`` width of the state
        - ``linear_before_reset`` reset after the recurrent product

        Results: y, hidden.
        Shape rule: y is [S,directions,B,H]; hidden is [directions,B,H] (V13).
        Dtypes: f32.
        """
        results = self._add(
            "GRU",
            (x, weight, recurrence, bias, hidden),
            {
                "direction": direction,
                "hidden_size": hidden_size,
                "linear_before_reset": linear_before_reset,
            },
        )
        return results[0], results[1]
