# SPDX-License-Identifier: Apache-2.0
"""torch tensors and numpy arrays, into a safetensors file: 8 bytes little-endian length, a JSON
header, the data. Neither library is imported: a job that did not import them has none to carry.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys
from _json import encode_basestring_ascii as quote
from posix import write as posix_write

_TORCH_DTYPES = {
    "torch.bool": "BOOL", "torch.uint8": "U8", "torch.int8": "I8", "torch.int16": "I16",
    "torch.uint16": "U16", "torch.int32": "I32", "torch.uint32": "U32", "torch.int64": "I64",
    "torch.uint64": "U64", "torch.float16": "F16", "torch.bfloat16": "BF16",
    "torch.float32": "F32", "torch.float64": "F64", "torch.complex64": "C64",
    "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2",
}
_NUMPY_DTYPES = {
    "b1": "BOOL", "u1": "U8", "i1": "I8", "i2": "I16", "u2": "U16", "i4": "I32", "u4": "U32",
    "i8": "I64", "u8": "U64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64",
}


def type_name(value):
    kind = type(value)
    plain = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def _class(module, name):
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else ()


def is_tensor(value):
    return issubclass(type(value), _class("torch", "Tensor"))


def is_array(value):
    return issubclass(type(value), _class("numpy", "ndarray"))


def is_scalar(value):
    """A numpy scalar, or a tensor or array without dimensions."""
    if is_tensor(value) or is_array(value):
        return value.ndim == 0
    return issubclass(type(value), _class("numpy", "generic"))


def scalar(value):
    """(True, number) of a 0-d tensor, a 0-d array or a numpy scalar; else (False, None)."""
    if is_tensor(value):
        if value.ndim == 0 and value.device.type != "meta":
            return True, value.detach().item()
        return False, None
    if is_array(value):
        if value.ndim != 0:
            return False, None
        value = value[()]
    if issubclass(type(value), _class("numpy", "bool_")):
        return True, bool(value)
    if issubclass(type(value), _class("numpy", "integer")):
        return True, int(value)
    if issubclass(type(value), _class("numpy", "floating")):
        return True, float(value)
    if issubclass(type(value), _class("numpy", "complexfloating")):
        return True, complex(value)
    return False, None


class Entry:
    """One tensor of the file. `data` is read when the file is written, not before."""

    def __init__(self, name, value):
        self.name = name
        self.value = value
        self.refusal = None
        self.dtype = ""
        if is_tensor(value):
            self._take_tensor(value)
        else:
            self._take_array(value)

    def _take_tensor(self, value):
        self.shape = list(value.shape)
        self.element_bytes = value.element_size()
        layout = str(value.layout)
        if layout != "torch.strided" or value.is_nested:
            self.refusal = f"is a tensor of layout {layout}; only dense ones are carried"
        elif value.device.type == "meta":
            self.refusal = "is a tensor on the meta device, without data"
        elif str(value.dtype) not in _TORCH_DTYPES:
            self.refusal = f"is a tensor of {value.dtype}, which safetensors cannot hold"
        else:
            self.dtype = _TORCH_DTYPES[str(value.dtype)]
        self.bytes = self.element_bytes * value.numel()

    def _take_array(self, value):
        self.shape = list(value.shape)
        self.element_bytes = value.dtype.itemsize
        self.dtype = _NUMPY_DTYPES.get(value.dtype.str[1:], "")
        if not self.dtype or value.dtype.names:
            self.refusal = f"is an array of {value.dtype}, which safetensors cannot hold"
        self.bytes = value.nbytes

    def data(self):
        """(a buffer, what must live as long)."""
        if not is_tensor(self.value):
            numpy = sys.modules["numpy"]
            dtype = self.value.dtype.newbyteorder("<")
            array = numpy.ascontiguousarray(numpy.asarray(self.value), dtype=dtype)
            return memoryview(array.reshape(-1).view(numpy.uint8)), array
        tensor = self.value.detach().resolve_conj().resolve_neg().cpu().contiguous()
        if self.bytes == 0:
            return b"", tensor
        import ctypes  # torch has loaded it already
        memory = (ctypes.c_char * self.bytes).from_address(tensor.data_ptr())
        return memoryview(memory).cast("B"), tensor


def header(entries):
    """Length and JSON header, padded so that the data begins at a multiple of eight."""
    members = []
    at = 0
    for entry in entries:
        shape = ",".join(map(str, entry.shape))
        members.append(f'{quote(entry.name)}:{{"dtype":"{entry.dtype}","shape":[{shape}],'
                       f'"data_offsets":[{at},{at + entry.bytes}]}}')
        at += entry.bytes
    text = ("{" + ",".join(members) + "}").encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def in_file_order(entries):
    # The widest elements first: each tensor then begins at a multiple of its element's size.
    return sorted(entries, key=lambda entry: (-entry.element_bytes, entry.name))


def write_file(fd, entries):
    """Writes the file. Returns (entry, reason) of one that could not be read, else None; errors of
    the file itself are raised as OSError."""
    _write(fd, header(entries))
    for entry in entries:
        try:
            data, owner = entry.data()
            size = len(data)
        except Exception as error:  # out of memory, a broken subclass
            return entry, f"could not be read: {type(error).__name__}"
        if size != entry.bytes:
            return entry, "changed its size while it was read"
        _write(fd, data)
        del data, owner
    return None


def _write(fd, data):
    view = memoryview(data)
    while view:
        view = view[posix_write(fd, view[:1 << 24]):]
