# SPDX-License-Identifier: Apache-2.0
"""Tensors whose operations run on the VM, one at a time, with its bits.

    from bcai import Tensor

    a = Tensor([[1.0, 2.0], [3.0, 4.0]])
    print((a @ a.T + 1).softmax(axis=-1).to_numpy())

For whole programs, which the VM compiles and fuses, there is :mod:`bcai.vm`.
"""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bcai.axes import axes_of, axis_of, check_index, dims_of, whole_index
from bcai.elementwise import Elementwise
from bcai.errors import InvalidArgument
from bcai.vm.dtypes import NAMES, VM_NAMES, dtype_name
from bcai.vm.eager import run_instruction
from bcai.vm.extension import _vm

if TYPE_CHECKING:
    import numpy

_SHOWN_MAX = 6  # of an axis, by repr
_ARRAY_CODES = {"float32": "f", "int64": "q", "int32": "i", "int8": "b", "uint8": "B"}


class Tensor(Elementwise):
    """A dense tensor in this machine's memory. Its operations make new ones; it does not change.

    ``Tensor(data)`` takes numbers, nested lists, and any array with DLPack or the buffer protocol:
    numpy, torch, ``array``, ``memoryview``. An array's memory is used as it is where it is dense
    and aligned, and kept alive; otherwise, or with ``copy=True``, it is copied. While memory is
    shared, who writes to the array changes the tensor.

    dtypes are float32, int64, int32, int8, uint8 and bool; float16 and bfloat16 for storage, which
    :meth:`cast` converts. Shapes broadcast as numpy's do. dtypes never convert by themselves:
    operands of two dtypes are refused, and a Python number takes the tensor's.
    """

    __array_ufunc__ = None  # so that numpy leaves `array + tensor` to the tensor
    _buffer: _vm.Buffer

    def __init__(self, data: Any, dtype: object | None = None, *, copy: bool = False) -> None:
        """``dtype`` says what numbers and lists become: without it, float32, int64 or bool as they
        are. An array has its own: another ``dtype`` is refused. float64 is none of the VM's."""
        wanted = None if dtype is None else dtype_name(dtype)
        if isinstance(data, Tensor):
            data = data._buffer.array()
        if isinstance(data, int | float):
            self._buffer = _filled([], wanted or _dtype_of([data]), data)
        elif isinstance(data, list | tuple):
            self._buffer = _of_lists(data, wanted)
        else:
            self._buffer = _of_array(data, copy)
        if wanted is not None and self.dtype != wanted:
            raise InvalidArgument(f"the array is {self.dtype}, not {wanted}: cast it first")

    @classmethod
    def _of(cls, buffer: _vm.Buffer) -> Tensor:
        tensor = cls.__new__(cls)
        tensor._buffer = buffer
        return tensor

    # Making.

    @classmethod
    def create(
        cls, shape: int | Sequence[int], dtype: object = "float32", fill: float = 0
    ) -> Tensor:
        """A tensor of this shape with every element ``fill``, which must fit ``dtype``."""
        dims = [shape] if isinstance(shape, int) else list(shape)
        return cls._of(_filled(dims, dtype_name(dtype), fill))

    @classmethod
    def arange(cls, stop: int, dtype: object = "int64") -> Tensor:
        """0, 1, … up to, without, ``stop``; float32, int64 or int32."""
        return cls._of(_run("Iota", (), {}, dtype_name(dtype), (stop,))[0])

    @classmethod
    def apply(cls, instruction: str, *operands: Any, **attributes: Any) -> Any:
        """Any instruction that derives its result's type: ``Tensor.apply("RMSNorm", x, scale)``.

        ``None`` stands for an optional operand that is absent. A Tensor, or a tuple of them where
        the instruction has several results. See ``help(bcai.vm.Builder)`` for the instructions.
        """
        buffers = [None if x is None else _tensor(x)._buffer for x in operands]
        results = tuple(cls._of(each) for each in _run(instruction, buffers, attributes))
        return results if len(results) > 1 else results[0]

    @classmethod
    def concat(cls, tensors: Sequence[Any], axis: int = 0) -> Tensor:
        """Joined along an axis; the other axes are equal."""
        parts = [_tensor(each) for each in tensors]
        if not parts:
            raise InvalidArgument("concat: no tensors")
        buffers = [each._buffer for each in parts]
        return cls._of(_run("Concat", buffers, {"axis": axis_of(axis, parts[0].ndim)})[0])

    @classmethod
    def stack(cls, tensors: Sequence[Any], axis: int = 0) -> Tensor:
        """Joined along a new axis; all shapes are equal."""
        return cls.concat([_tensor(each).expand_dims(axis) for each in tensors], axis)

    @classmethod
    def where(cls, condition: Any, a: Any, b: Any) -> Tensor:
        """Elements of ``a`` where the condition (bool) holds, else of ``b``."""
        like = next((each for each in (a, b) if isinstance(each, Tensor)), None)
        chosen = [_tensor(condition), _tensor(a, like), _tensor(b, like)]
        return cls._of(_run("Select", [each._buffer for each in chosen], {})[0])

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis."""
        return self._buffer.shape

    @property
    def dtype(self) -> str:
        """``"float32"``, ``"int64"``, …"""
        return NAMES[self._buffer.dtype]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        """The extent of the first axis."""
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        """Values, the inner ones of long axes left out; shape; dtype."""
        readable = self.cast("float32") if self.dtype == "bfloat16" else self
        shown = _shown(memoryview(readable._buffer.array()).tolist(), self.shape)
        return f"Tensor({shown}, shape={self.shape}, dtype={self.dtype})"

    # To others.

    def to_numpy(self) -> numpy.ndarray[Any, Any]:
        """The same memory as a numpy array, which keeps it alive. Read-only where the source is.

        Raises InvalidArgument for bfloat16, which numpy does not have, ImportError without numpy.
        """
        try:
            import numpy
        except ImportError:
            raise ImportError("to_numpy needs numpy: pip install 'bcai[numpy]'") from None
        if self.dtype == "bfloat16":
            raise InvalidArgument("numpy has no bfloat16: cast it to float32 first")
        return numpy.asarray(self._buffer.array())

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists; a number, without axes."""
        readable = self.cast("float32") if self.dtype == "bfloat16" else self
        return memoryview(readable._buffer.array()).tolist()

    def item(self) -> float | int | bool:
        """The one element, as a Python number."""
        if self.size != 1:
            raise InvalidArgument(f"item: {self.size} elements, expected one")
        value: float | int | bool = self.reshape(()).tolist()
        return value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For ``numpy.asarray(tensor)``: no copy, unless asked for or of another dtype."""
        found = self.to_numpy()
        if dtype is not None and found.dtype != dtype:
            if copy is False:
                raise ValueError(f"{self.dtype} to {dtype} needs a copy")
            return found.astype(dtype)
        return found.copy() if copy else found

    def __dlpack__(self, **options: Any) -> Any:
        """For ``torch.from_dlpack(tensor)`` and others: the same memory, no copy."""
        return self._buffer.array().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The processor's memory."""
        device: tuple[int, int] = self._buffer.array().__dlpack_device__()
        return device

    def __buffer__(self, flags: int) -> memoryview:
        """For ``memoryview(tensor)``, from Python 3.12 on: the same memory, no copy."""
        return memoryview(self._buffer.array())

    def __float__(self) -> float:
        """The one element."""
        return float(self.item())

    def __int__(self) -> int:
        """The one element."""
        return int(self.item())

    def __bool__(self) -> bool:
        """Whether the one element is true; of several, use :meth:`any` or :meth:`all`."""
        if self.size != 1:
            raise InvalidArgument(f"{self.size} elements are not one truth: any() or all()")
        return bool(self.item())

    # Elementwise: the rest is in bcai.elementwise.

    def __pos__(self) -> Tensor:
        """Itself."""
        return self

    def cast(self, dtype: object) -> Tensor:
        """Converted: float to integer truncates and saturates (NaN gives 0), to float16 and
        bfloat16 rounds to nearest even, to bool is x != 0."""
        name = dtype_name(dtype)
        return self if name == self.dtype else self._stated("Cast", name, self.shape)

    # Along axes.

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Sum over one, several or all axes, in the VM's order; integers wrap."""
        return self._reduce("ReduceSum", axis, keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Mean over one, several or all axes, of float32."""
        return self._reduce("ReduceMean", axis, keepdims)

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The largest over one, several or all axes; NaN if one is."""
        return self._reduce("ReduceMax", axis, keepdims)

    def min(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The smallest over one, several or all axes; NaN if one is."""
        return self._reduce("ReduceMin", axis, keepdims)

    def prod(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """Product over one, several or all axes, of float32."""
        return self._reduce("ReduceProd", axis, keepdims)

    def any(self) -> bool:
        """Whether one element is not 0."""
        return bool(self.cast("bool").cast("uint8").max().item()) if self.size else False

    def all(self) -> bool:
        """Whether no element is 0."""
        return bool(self.cast("bool").cast("uint8").min().item()) if self.size else True

    def argmax(self, axis: int = -1, keepdims: bool = False) -> Tensor:
        """Index of the largest along an axis, int64; the first of equals."""
        return self._alone("ArgMax", axis=axis_of(axis, self.ndim), keep_dims=keepdims)

    def argmin(self, axis: int = -1, keepdims: bool = False) -> Tensor:
        """Index of the smallest along an axis, int64; the first of equals."""
        return self._alone("ArgMin", axis=axis_of(axis, self.ndim), keep_dims=keepdims)

    def cumsum(self, axis: int = -1) -> Tensor:
        """Running sum along an axis."""
        return self._alone("CumSum", axis=axis_of(axis, self.ndim))

    def topk(self, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
        """The ``k`` largest along an axis, best first, and their indices (int64)."""
        values, indices = _run("TopK", [self._buffer], {"axis": axis_of(axis, self.ndim), "k": k})
        return Tensor._of(values), Tensor._of(indices)

    def softmax(self, axis: int = -1) -> Tensor:
        """e^(x - max) / sum along an axis."""
        return self._alone("Softmax", axis=axis_of(axis, self.ndim))

    def log_softmax(self, axis: int = -1) -> Tensor:
        """x - max - log(sum(e^(x - max))) along an axis."""
        return self._alone("Softmax", axis=axis_of(axis, self.ndim), log=True)

    # Products.

    def matmul(self, other: Any) -> Tensor:
        """Matrix product of float32, axes before the last two broadcast; of vectors as numpy's."""
        a, b = self, _tensor(other, self)
        if not a.ndim or not b.ndim:
            raise InvalidArgument("matmul: an operand has no axes, expected at least one")
        left = a.reshape((1, *a.shape)) if a.ndim == 1 else a
        right = b.reshape((*b.shape, 1)) if b.ndim == 1 else b
        found = Tensor._of(_run("TensorMatMul", [left._buffer, right._buffer], {})[0])
        shape = list(found.shape)
        if b.ndim == 1:
            shape.pop()
        if a.ndim == 1:
            shape.pop(-1 if b.ndim == 1 else -2)
        return found.reshape(shape)

    def __matmul__(self, other: Any) -> Tensor:
        """See :meth:`matmul`."""
        return self.matmul(other)

    def __rmatmul__(self, other: Any) -> Tensor:
        """See :meth:`matmul`."""
        return _tensor(other, self).matmul(self)

    # Shape and movement.

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same memory under another shape; one extent may be -1."""
        dims = dims_of(shape)
        if dims.count(-1) == 1 and all(dim >= -1 for dim in dims):
            known = math.prod(dim for dim in dims if dim != -1)
            if known == 0 or self.size % known:
                raise InvalidArgument(f"reshape: {self.size} elements do not make {dims}")
            dims[dims.index(-1)] = self.size // known
        return Tensor._of(self._buffer.reshaped(dims))

    def flatten(self) -> Tensor:
        """The same memory with one axis."""
        return self.reshape(self.size)

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Tensor:
        """The same memory without these axes of extent 1; without all such, when none is named."""
        if axis is None:
            axes = [i for i, extent in enumerate(self.shape) if extent == 1]
        else:
            axes = axes_of(axis, self.ndim)
        for each in axes:
            if self.shape[each] != 1:
                raise InvalidArgument(f"squeeze: axis {each} has {self.shape[each]}, expected 1")
        return self.reshape([dim for i, dim in enumerate(self.shape) if i not in axes])

    def expand_dims(self, axis: int) -> Tensor:
        """The same memory with one more axis, of extent 1, which becomes axis ``axis``."""
        at = axis_of(axis, self.ndim + 1)
        return self.reshape((*self.shape[:at], 1, *self.shape[at:]))

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """Axes in this order; in reverse when none is named."""
        order = [axis_of(axis, self.ndim) for axis in dims_of(axes)]
        if not order:
            order = list(range(self.ndim))[::-1]
        if self.ndim == 0 and not order:
            return self
        return self._alone("Transpose", permutation=order)

    @property
    def T(self) -> Tensor:
        """Axes in reverse."""
        return self.transpose()

    def broadcast_to(self, *shape: int | Sequence[int]) -> Tensor:
        """Repeated along axes of extent 1 and new leading ones."""
        return self._stated("Broadcast", self.dtype, tuple(dims_of(shape)))

    def pad(self, low: Sequence[int], high: Sequence[int], value: float = 0) -> Tensor:
        """With ``low`` elements before and ``high`` after each axis, all ``value``."""
        key = "value" if self.dtype == "float32" else "int_value"
        return self._alone("Pad", low=list(low), high=list(high), **{key: value})

    def take(self, indices: Any, axis: int = 0) -> Tensor:
        """Slices along an axis by index, int64 or int32; an index outside is refused."""
        chosen = _tensor(indices)
        attributes = {"axis": axis_of(axis, self.ndim)}
        return Tensor._of(_run("Gather", [self._buffer, chosen._buffer], attributes)[0])

    def __getitem__(self, index: Any) -> Tensor:
        """Integers, slices, ``...`` and ``None``, as numpy's basic indexing; a copy.

        For indices in a tensor see :meth:`take`, for a mask :meth:`where`.
        """
        parts = list(index) if isinstance(index, tuple) else [index]
        for part in parts:
            check_index(part)
        return self._sliced(whole_index(parts, self.shape))

    def __iter__(self) -> Iterator[Tensor]:
        """The slices along the first axis."""
        return (self[i] for i in range(len(self)))

    def _sliced(self, parts: Sequence[Any]) -> Tensor:
        starts: list[int] = []
        steps: list[int] = []
        sizes: list[int] = []
        shape: list[int] = []
        reversed_axes: list[int] = []
        for part in parts:
            if part is None:
                shape.append(1)
                continue
            axis = len(starts)
            extent = self.shape[axis]
            if isinstance(part, slice):
                start, stop, step = part.indices(extent)
                size = len(range(start, stop, step))
                if step < 0:
                    reversed_axes.append(axis)
                    start, step = extent - 1 - start, -step
                shape.append(size)
            else:
                start, step, size = axis_of(part, extent, f"index {part} of axis {axis}"), 1, 1
            starts.append(start if size else 0)
            steps.append(step)
            sizes.append(size)
        found = self
        if reversed_axes:
            found = found._alone("Reverse", axes=reversed_axes)
        if tuple(sizes) != self.shape:
            found = found._stated(
                "Slice", self.dtype, tuple(sizes), {"starts": starts, "steps": steps}
            )
        return found.reshape(shape)

    # Running.

    def _with(
        self, instruction: str, other: Any, swapped: bool = False, **attributes: Any
    ) -> Tensor:
        """Of an operator, which leaves what it does not know to the other side."""
        try:
            operand = _tensor(other, self)
        except TypeError:
            return NotImplemented  # type: ignore[no-any-return]
        operands = (operand, self) if swapped else (self, operand)
        if operand.dtype != self.dtype:
            raise InvalidArgument(
                f"{instruction}: {operands[0].dtype} and {operands[1].dtype}: cast one of them"
            )
        return Tensor._of(_run(instruction, [each._buffer for each in operands], attributes)[0])

    def _operand(self, value: Any) -> Tensor:
        return _tensor(value, self)

    def _alone(self, instruction: str, **attributes: Any) -> Tensor:
        return Tensor._of(_run(instruction, [self._buffer], attributes)[0])

    def _stated(
        self,
        instruction: str,
        dtype: str,
        shape: tuple[int, ...],
        attributes: dict[str, Any] | None = None,
    ) -> Tensor:
        return Tensor._of(_run(instruction, [self._buffer], attributes or {}, dtype, shape)[0])

    def _reduce(
        self, instruction: str, axis: int | Sequence[int] | None, keepdims: bool
    ) -> Tensor:
        axes = list(range(self.ndim)) if axis is None else axes_of(axis, self.ndim)
        if not axes:
            return self
        return self._alone(instruction, axes=axes, keep_dims=keepdims)

    def _float(self, sign: str) -> Tensor:
        if self.dtype != "float32":
            raise InvalidArgument(
                f"{sign}: {self.dtype}, expected float32: cast it, or use div(), which truncates"
            )
        return self


def _run(
    instruction: str,
    operands: Sequence[_vm.Buffer | None],
    attributes: dict[str, Any],
    dtype: str | None = None,
    shape: Sequence[int] | None = None,
) -> list[_vm.Buffer]:
    stated = None if dtype is None or shape is None else (VM_NAMES[dtype], tuple(shape))
    return run_instruction(instruction, operands, attributes, stated)


def _tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """``value`` as a Tensor; a number takes the dtype of ``like``."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, int | float) and like is not None:
        return Tensor(value, dtype=like.dtype)
    return Tensor(value)


def _filled(shape: list[int], dtype: str, value: float) -> _vm.Buffer:
    if dtype in ("float16", "bfloat16"):
        return Tensor._of(_filled(shape, "float32", value)).cast(dtype)._buffer
    if dtype == "float32" and isinstance(value, int):
        value = float(value)
    return _vm.Buffer.full(VM_NAMES[dtype], shape, value)


def _of_array(data: Any, copy: bool) -> _vm.Buffer:
    if getattr(data, "requires_grad", False):
        raise InvalidArgument("the array requires its gradient, which ends here: detach() it first")
    try:
        return _vm.Buffer.of(data, copy)
    except TypeError:
        dtype = getattr(data, "dtype", None)
        order = getattr(dtype, "byteorder", "=")
        if order not in "=|<":
            raise InvalidArgument(
                f"the array is {dtype}, of the other byte order: convert it first"
            ) from None
        what = f" of {dtype}" if dtype is not None else ""
        raise TypeError(
            f"{type(data).__name__}{what} is no array of numbers in this machine's memory: "
            "expected DLPack, the buffer protocol, numbers or lists"
        ) from None


def _of_lists(data: Sequence[Any], wanted: str | None) -> _vm.Buffer:
    shape: list[int] = []
    level: Any = data
    while isinstance(level, list | tuple):
        shape.append(len(level))
        level = level[0] if level else None
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    dtype = wanted or _dtype_of(flat)
    if dtype in ("float16", "bfloat16"):
        return Tensor(list(data), "float32").cast(dtype)._buffer
    if not flat:
        return _filled(shape, dtype, 0)
    if dtype == "bool":
        if any(value not in (0, 1) for value in flat):
            raise InvalidArgument("a list of bools has other numbers")
        numbers = array.array("B", [int(value) for value in flat])
        return Tensor(numbers).cast("bool").reshape(shape)._buffer
    try:
        numbers = array.array(_ARRAY_CODES[dtype], flat)
    except (TypeError, OverflowError) as error:
        raise InvalidArgument(f"a list of {dtype}: {error}") from None
    return Tensor(numbers).reshape(shape)._buffer


def _flatten(level: Any, shape: list[int], axis: int, out: list[Any]) -> None:
    if axis == len(shape):
        if not isinstance(level, int | float):
            raise InvalidArgument(f"a list of numbers holds {level!r}")
        out.append(level)
        return
    if not isinstance(level, list | tuple) or len(level) != shape[axis]:
        found = len(level) if isinstance(level, list | tuple) else repr(level)
        raise InvalidArgument(
            f"lists of unequal lengths: axis {axis} has {shape[axis]} and {found}"
        )
    for each in level:
        _flatten(each, shape, axis + 1, out)


def _dtype_of(numbers: Sequence[Any]) -> str:
    if numbers and all(isinstance(number, bool) for number in numbers):
        return "bool"
    return "float32" if not numbers or any(isinstance(n, float) for n in numbers) else "int64"


def _shown(values: Any, shape: Sequence[int]) -> str:
    if not shape:
        text = f"{values:.6g}" if isinstance(values, float) else str(values)
        return text + ".0" if isinstance(values, float) and text.lstrip("-").isdigit() else text
    inner: Callable[[Any], str] = lambda each: _shown(each, shape[1:])  # noqa: E731
    if len(values) <= _SHOWN_MAX:
        return "[" + ", ".join(map(inner, values)) + "]"
    edge = _SHOWN_MAX // 2
    parts = [*map(inner, values[:edge]), "…", *map(inner, values[-edge:])]
    return "[" + ", ".join(parts) + "]"
