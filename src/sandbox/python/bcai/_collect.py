# SPDX-License-Identifier: Apache-2.0
"""What is carried out of a job when it ends: values given to bcai.output, and the top-level
variables that can be carried, to .bcai/outputs.json and .bcai/outputs.safetensors.

Works whatever the job did to builtins, modules, descriptors and directories; one value that cannot
be read never costs another.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

from _json import encode_basestring_ascii as quote
from errno import EMFILE
from posix import (
    O_CREAT,
    O_NOFOLLOW,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
    close,
    fstat,
    ftruncate,
    lseek,
    mkdir,
    open,
    posix_fallocate,
    statvfs,
    unlink,
    write,
)

from bcai import _tensors
from bcai._values import NotCarried, to_json

_JSON_BYTES_MAX = 8 << 20   # of all plain values together
_LEFT_OUT_MAX = 256
_TENSORS_MAX = 4096
_NAME_BYTES_MAX = 256

_SPACE_BYTES = 128 << 10    # kept on the disk for outputs.json: an error with its traceback fits

_reserve = []  # descriptors, and last what fstat says of them

# Types of plain variables that a user may look for among the outputs, and how to keep them.
_KEEP = {
    ("torch.nn.modules.module", "Module"):
        "a model; keep it with torch.save(model.state_dict(), 'outputs/model.pt')",
    ("sklearn.base", "BaseEstimator"): "an estimator; keep it with joblib.dump in outputs/",
    ("pandas.core.generic", "NDFrame"):
        "a pandas table; keep it with .to_parquet or .to_csv in outputs/",
    ("polars.dataframe.frame", "DataFrame"):
        "a polars table; keep it with .write_parquet in outputs/",
}


class Collection:
    def __init__(self, tensor_bytes_max):
        self.values = {}        # name -> JSON text
        self.entries = []
        self.left_out = {}      # name -> reason
        self._unnamed = 0       # left out beyond what is listed
        self._names = set()     # of values and entries
        self._json_bytes_left = _JSON_BYTES_MAX
        self._tensor_bytes_max = tensor_bytes_max
        self._tensor_bytes_left = tensor_bytes_max

    def take(self, given, variables):
        for name, value in list(given.items()):
            self._guarded(name, self._add, value)
        for name, value in list(variables.items()):
            if (type(name) is str and not name.startswith("_") and name not in given
                    and len(name) <= _NAME_BYTES_MAX and name.isprintable()):
                self._guarded(name, self._add_variable, value)

    def leave_out(self, name, reason):
        if len(self.left_out) < _LEFT_OUT_MAX or name in self.left_out:
            self.left_out[name] = reason
        else:
            self._unnamed += 1

    def _guarded(self, name, add, value):
        try:
            add(name, value)
        except NotCarried as reason:
            self.leave_out(name, reason.args[0])
        except BaseException as error:  # the value's own methods may raise anything
            self.leave_out(name, f"could not be read: {type(error).__name__}")

    def _add_variable(self, name, value):
        if _is_carried_kind(value):
            self._add(name, value)
        elif keep := _how_to_keep(value):
            self.leave_out(name, "is " + keep)

    def _add(self, name, value):
        if _tensors.is_tensor(value) or _tensors.is_array(value):
            if not _tensors.is_scalar(value):
                self._add_tensor(name, value)
                return
        elif _is_dict_of_tensors(value):
            for key, tensor in list(dict.items(value)):
                self._guarded(f"{name}.{key}", self._add_tensor, tensor)
            return
        if not _is_carried_kind(value):
            keep = _how_to_keep(value) or (f"of type {_tensors.type_name(value)}, which is not "
                                           "carried; save it to a file in outputs/")
            raise NotCarried("is " + keep)
        text = to_json(value, self._json_bytes_left)
        self._take_name(name)
        self._json_bytes_left -= len(text) + len(name) + 16
        self.values[name] = text

    def _add_tensor(self, name, value):
        entry = _tensors.Entry(name, value)
        if entry.refusal:
            raise NotCarried(entry.refusal)
        if entry.bytes > self._tensor_bytes_left or len(self.entries) >= _TENSORS_MAX:
            self.leave_out(name, f"has {_size(entry.bytes)}; of the "
                                 f"{_size(self._tensor_bytes_max)} that a job's tensors may have "
                                 f"in all, {_size(self._tensor_bytes_left)} were left; "
                                 "save it to a file in outputs/")
            return
        self._take_name(name)
        self._tensor_bytes_left -= entry.bytes
        self.entries.append(entry)

    def _take_name(self, name):
        if len(name.encode("utf-8", "replace")) > _NAME_BYTES_MAX:
            raise NotCarried(f"has a name of more than {_NAME_BYTES_MAX} bytes")
        if not name.isprintable():
            raise NotCarried("has a name that cannot be printed")
        if name in self._names:
            raise NotCarried("is the name of another output")
        self._names.add(name)

    def json(self, error):
        outputs = ",".join(f"{quote(name)}:{text}" for name, text in self.values.items())
        tensors = ",".join(
            f'{{"name":{quote(entry.name)},"dtype":"{entry.dtype}",'
            f'"shape":[{",".join(map(str, entry.shape))}]}}' for entry in self.entries)
        left_out = ",".join(f'{{"name":{quote(name)},"reason":{quote(reason)}}}'
                            for name, reason in self._named_left_out())
        return (f'{{"outputs":{{{outputs}}},"tensors":[{tensors}],"left_out":[{left_out}],'
                f'"error":{error}}}\n').encode("ascii")

    def _named_left_out(self):
        yield from self.left_out.items()
        if self._unnamed:
            yield "…", f"{self._unnamed} more were left out"


def _is_carried_kind(value):
    return (value is None or issubclass(type(value), (int, float, str, list, tuple, dict)) or
            _tensors.is_tensor(value) or _tensors.is_array(value) or _tensors.is_scalar(value))


def _is_dict_of_tensors(value):
    if not issubclass(type(value), dict) or not value:
        return False
    wide = False
    for key, item in list(dict.items(value)):
        if not (type(key) is str and (_tensors.is_tensor(item) or _tensors.is_array(item))):
            return False
        wide = wide or not _tensors.is_scalar(item)
    return wide


def _how_to_keep(value):
    for kind in type(value).__mro__:
        keep = _KEEP.get((kind.__module__, kind.__name__))
        if keep:
            return keep
    return None


def write_outputs(directory, given, variables, tensor_bytes_max, error):
    """error is JSON text. Never raises; what the disk refuses is not there."""
    collection = Collection(tensor_bytes_max)
    _release_space(directory)
    collection.take(given, variables)
    try:
        mkdir(directory, 0o700)
    except OSError:
        pass
    tensors_path = directory + "/outputs.safetensors"
    _write_tensors(tensors_path, collection)
    try:
        _write_json(directory + "/outputs.json", collection.json(error))
    except OSError as reason:
        # Less and less, until there is room: without tensors, with the error alone.
        for drop in (_drop_tensors, _drop_values):
            drop(tensors_path, collection, reason)
            try:
                _write_json(directory + "/outputs.json", collection.json(error))
                return
            except OSError:
                pass


def _write_tensors(path, collection):
    try:
        unlink(path)
    except OSError:
        pass
    if not collection.entries:
        return
    try:
        fd = _open(path)
    except OSError as reason:
        _drop_tensors(path, collection, reason)
        return
    try:
        while collection.entries:
            collection.entries = _tensors.in_file_order(collection.entries)
            failed = _tensors.write_file(fd, collection.entries)
            if failed is None:
                return
            entry, why = failed
            collection.entries.remove(entry)
            collection.leave_out(entry.name, why)
            lseek(fd, 0, 0)
            ftruncate(fd, 0)
    except (OSError, MemoryError) as reason:
        _drop_tensors(path, collection, reason)
    finally:
        close(fd)


def _drop_tensors(path, collection, reason):
    why = getattr(reason, "strerror", None) or type(reason).__name__
    for entry in collection.entries:
        collection.leave_out(entry.name, f"could not be written: {why}")
    collection.entries = []
    try:
        unlink(path)
    except OSError:
        pass


def _drop_values(_, collection, reason):
    why = getattr(reason, "strerror", None) or type(reason).__name__
    for name in collection.values:
        collection.leave_out(name, f"could not be written: {why}")
    collection.values = {}


def reserve_space(directory):
    """For a job that fills its disk: what it ended with shall be told all the same."""
    try:
        mkdir(directory, 0o700)
        disk = statvfs(directory)
        if disk.f_bavail * disk.f_frsize < 16 * _SPACE_BYTES:
            return
        fd = _open_high(directory + "/space")
        try:
            posix_fallocate(fd, 0, _SPACE_BYTES)
        finally:
            close(fd)
    except OSError:
        pass


def _release_space(directory):
    try:
        unlink(directory + "/space")
    except OSError:
        pass


def _write_json(path, data):
    fd = _open(path)
    try:
        view = memoryview(data)
        while view:
            view = view[write(fd, view):]
    finally:
        close(fd)


def reserve_descriptors():
    """For a job that ends with all of its descriptors in use."""
    try:
        _reserve.extend(open("/dev/null", O_RDONLY) for _ in range(6))
        _reserve.append(fstat(_reserve[0])[:3])
    except OSError:
        pass


def _release_descriptors():
    null = _reserve.pop() if _reserve else None
    while _reserve:
        fd = _reserve.pop()
        try:
            if fstat(fd)[:3] == null:  # else the job closed it and has a file of its own there
                close(fd)
        except OSError:
            pass


def _open(path):
    try:
        return _open_high(path)
    except OSError as error:
        if error.errno != EMFILE:
            raise
    _release_descriptors()
    return _open_high(path)


def _open_high(path):
    # Above 0 to 3: the job may have closed them, and what it still prints must not come in here.
    low = []
    try:
        while not low or low[-1] <= 3:
            low.append(open("/dev/null", O_RDONLY))
        return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    finally:
        for fd in low:
            close(fd)


def _size(count):
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.1f} {unit}" if isinstance(count, float) else f"{count} {unit}"
        count = count / 1000
