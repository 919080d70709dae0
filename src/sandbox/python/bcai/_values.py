# SPDX-License-Identifier: Apache-2.0
"""Python values as JSON text, without the json module: it is slow to import and the job may have
changed it. Numbers, text, bool, None, and lists, tuples and dicts of them; 0-d tensors and arrays
are numbers. What JSON cannot say is refused with a reason, never bent.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

from _json import encode_basestring_ascii as quote

from bcai import _secrets, _tensors

_DEPTH_MAX = 16
_ITEMS_MAX = 100_000
_TEXT_BYTES_MAX = 64 * 1024
_INFINITY = float("inf")


class NotCarried(Exception):
    """The reason why a value is left out, for its user to read."""


def to_json(value, bytes_max):
    """The JSON text, at most bytes_max long (it is ASCII), or NotCarried."""
    writer = _Writer(bytes_max)
    writer.write(value, "", 0)
    return "".join(writer.parts)


class _Writer:
    def __init__(self, bytes_max):
        self.parts = []
        self.bytes_left = bytes_max
        self.items_left = _ITEMS_MAX
        self.open = set()  # ids of the containers that are being written: a way to see a cycle

    def put(self, text):
        self.bytes_left -= len(text)
        if self.bytes_left < 0:
            raise NotCarried("is too large for the outputs; save it to a file in outputs/")
        self.parts.append(text)

    def write(self, value, where, depth):
        kind = type(value)
        if value is None:
            self.put("null")
        elif kind is bool:
            self.put("true" if value else "false")
        elif issubclass(kind, int):
            self.put(_integer(value, where))
        elif issubclass(kind, float):
            self.put(_float(float.__float__(value), where))
        elif issubclass(kind, str):
            self.put(_text(value, where))
        elif issubclass(kind, (list, tuple, dict)):
            self.container(value, where, depth)
        else:
            found, number = _tensors.scalar(value)
            if not found:
                raise NotCarried(_is(where, f"of type {_tensors.type_name(value)}"))
            if type(number) not in (bool, int, float):
                raise NotCarried(_is(where, f"a {type(number).__name__} number; JSON has none"))
            self.write(number, where, depth)

    def container(self, value, where, depth):
        if id(value) in self.open:
            raise NotCarried(_is(where, "a reference to what holds it"))
        if depth >= _DEPTH_MAX:
            raise NotCarried(f"is nested deeper than {_DEPTH_MAX} levels")
        is_dict = issubclass(type(value), dict)
        items = list(dict.items(value)) if is_dict else list(_elements(value))
        self.items_left -= len(items)
        if self.items_left < 0:
            raise NotCarried(f"holds more than {_ITEMS_MAX} items; save it to a file in outputs/")
        self.open.add(id(value))
        self.put("{" if is_dict else "[")
        for index, item in enumerate(items):
            if index:
                self.put(",")
            if is_dict:
                key, item = item
                if not issubclass(type(key), str):
                    raise NotCarried(_is(where, "a dict whose keys are not all text: "
                                                f"{_tensors.type_name(key)}"))
                self.put(_text(key, where) + ":")
                self.write(item, f"{where}[{_short(key)}]", depth + 1)
            else:
                self.write(item, f"{where}[{index}]", depth + 1)
        self.put("}" if is_dict else "]")
        self.open.discard(id(value))


def _elements(value):
    return list.__iter__(value) if issubclass(type(value), list) else tuple.__iter__(value)


def _integer(value, where):
    bits = int.bit_length(value)
    if bits > 64 or not -2**63 <= int(value) < 2**64:
        raise NotCarried(_is(where, f"an integer of {bits} bits; more than 64 are not carried"))
    return int.__repr__(value)


def _float(value, where):
    if value != value or value in (_INFINITY, -_INFINITY):
        raise NotCarried(_is(where, f"{float.__repr__(value)}; JSON has no such number"))
    return float.__repr__(value)


def _text(value, where):
    try:
        size = len(str.encode(value, "utf-8"))
    except UnicodeEncodeError:
        raise NotCarried(
            _is(where, "text with lone surrogates, which UTF-8 cannot carry")) from None
    if size > _TEXT_BYTES_MAX:
        raise NotCarried(_is(where, f"text of {size} bytes; more than {_TEXT_BYTES_MAX} are not "
                                    "carried, save it to a file in outputs/"))
    return quote(value)


def _is(where, what):
    return f"holds at {where} {what}" if where else f"is {what}"


def _short(key):
    return _secrets.shorten(str.__repr__(key), 40)
