# SPDX-License-Identifier: Apache-2.0
"""What a Tensor does element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bcai.tensor import Tensor


class Elementwise:
    """The operators and functions of :class:`bcai.Tensor` whose results are element by element."""

    __hash__ = None  # type: ignore[assignment]

    if TYPE_CHECKING:
        # Of Tensor.
        def _with(
            self, instruction: str, other: Any, swapped: bool = False, **attributes: Any
        ) -> Tensor: ...
        def _alone(self, instruction: str, **attributes: Any) -> Tensor: ...
        def _operand(self, value: Any) -> Tensor: ...
        def _float(self, sign: str) -> Tensor: ...

    # Two operands.

    def __add__(self, other: Any) -> Tensor:
        """Sum; integers wrap."""
        return self._with("Add", other)

    def __radd__(self, other: Any) -> Tensor:
        """Sum; integers wrap."""
        return self._with("Add", other, swapped=True)

    def __sub__(self, other: Any) -> Tensor:
        """Difference; integers wrap."""
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> Tensor:
        """Difference; integers wrap."""
        return self._with("Sub", other, swapped=True)

    def __mul__(self, other: Any) -> Tensor:
        """Product; integers wrap."""
        return self._with("Mul", other)

    def __rmul__(self, other: Any) -> Tensor:
        """Product; integers wrap."""
        return self._with("Mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Tensor:
        """Quotient of float32. For integers, see :meth:`div`."""
        return self._float("/")._with("Div", other)

    def __rtruediv__(self, other: Any) -> Tensor:
        """Quotient of float32. For integers, see :meth:`div`."""
        return self._float("/")._with("Div", other, swapped=True)

    def __mod__(self, other: Any) -> Tensor:
        """Remainder of integers with the sign of the divisor; 0 where the divisor is 0."""
        return self._with("Mod", other)

    def __rmod__(self, other: Any) -> Tensor:
        """Remainder of integers with the sign of the divisor; 0 where the divisor is 0."""
        return self._with("Mod", other, swapped=True)

    def __pow__(self, other: Any) -> Tensor:
        """Power of float32."""
        return self._with("Pow", other)

    def __rpow__(self, other: Any) -> Tensor:
        """Power of float32."""
        return self._with("Pow", other, swapped=True)

    def __and__(self, other: Any) -> Tensor:
        """And of bools, bit by bit of integers."""
        return self._with("And", other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Tensor:
        """Or of bools, bit by bit of integers."""
        return self._with("Or", other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Tensor:
        """Exclusive or of bools, bit by bit of integers."""
        return self._with("Xor", other)

    __rxor__ = __xor__

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        """Element by element, as bool. NaN is unequal to all."""
        return self._with("Compare", other, predicate="eq")

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        """Element by element, as bool. NaN is unequal to all."""
        return self._with("Compare", other, predicate="ne")

    def __lt__(self, other: Any) -> Tensor:
        """Element by element, as bool."""
        return self._with("Compare", other, predicate="lt")

    def __le__(self, other: Any) -> Tensor:
        """Element by element, as bool."""
        return self._with("Compare", other, predicate="le")

    def __gt__(self, other: Any) -> Tensor:
        """Element by element, as bool."""
        return self._with("Compare", other, predicate="gt")

    def __ge__(self, other: Any) -> Tensor:
        """Element by element, as bool."""
        return self._with("Compare", other, predicate="ge")

    def div(self, other: Any) -> Tensor:
        """The VM's quotient of any number dtype: integers truncate, and a zero divisor gives 0."""
        return self._with("Div", self._operand(other))

    def maximum(self, other: Any) -> Tensor:
        """The larger, element by element; NaN if either is."""
        return self._with("Max", self._operand(other))

    def minimum(self, other: Any) -> Tensor:
        """The smaller, element by element; NaN if either is."""
        return self._with("Min", self._operand(other))

    # One operand.

    def __neg__(self) -> Tensor:
        """Negated; integers wrap."""
        return self._alone("Neg")

    def __abs__(self) -> Tensor:
        """Absolute values."""
        return self._alone("Abs")

    def __invert__(self) -> Tensor:
        """Not, of bools."""
        return self._alone("Not")

    def abs(self) -> Tensor:
        """Absolute values."""
        return self._alone("Abs")

    def sign(self) -> Tensor:
        """-1, 0 or 1."""
        return self._alone("Sign")

    def exp(self) -> Tensor:
        """e to the power of each element."""
        return self._alone("Exp")

    def log(self) -> Tensor:
        """Natural logarithm."""
        return self._alone("Log")

    def sqrt(self) -> Tensor:
        """Square root."""
        return self._alone("Sqrt")

    def rsqrt(self) -> Tensor:
        """1 / square root, each rounded."""
        return self._alone("Rsqrt")

    def sin(self) -> Tensor:
        """Sine of radians."""
        return self._alone("Sin")

    def cos(self) -> Tensor:
        """Cosine of radians."""
        return self._alone("Cos")

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return self._alone("Tanh")

    def erf(self) -> Tensor:
        """Error function."""
        return self._alone("Erf")

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x)."""
        return self._alone("Sigmoid")

    def relu(self) -> Tensor:
        """x where x > 0, else 0."""
        return self._alone("Relu")

    def gelu(self, approximate: str = "erf") -> Tensor:
        """x times the normal distribution's function, by ``"erf"`` or the ``"tanh"`` form."""
        return self._alone("Gelu", approximate=approximate)

    def silu(self) -> Tensor:
        """x * sigmoid(x)."""
        return self._alone("Silu")

    def softplus(self) -> Tensor:
        """log(1 + e^x)."""
        return self._alone("Softplus")

    def leaky_relu(self, alpha: float = 0.01) -> Tensor:
        """x where x >= 0, else alpha * x."""
        return self._alone("LeakyRelu", alpha=alpha)

    def clamp(self, min: float, max: float) -> Tensor:
        """No less than ``min``, no more than ``max``."""
        return self._alone("Clamp", min=min, max=max)

    def floor(self) -> Tensor:
        """Rounded towards minus infinity."""
        return self._alone("Floor")

    def ceil(self) -> Tensor:
        """Rounded towards plus infinity."""
        return self._alone("Ceil")

    def round(self) -> Tensor:
        """Rounded to nearest, ties to even."""
        return self._alone("Round")

    def isnan(self) -> Tensor:
        """Whether each is not a number."""
        return self._alone("IsNan")
