# SPDX-License-Identifier: Apache-2.0
"""A zygote: imports what its jobs will, waits, and forks (zygote/child.c). In a child it goes on
as the runner does, and the job finds the interpreter as if it were the first thing in it: modules
that it has not imported are not there, imports are judged by its own policy, and nothing random is
shared with another child but the layout of the addresses and the seed of the hashes.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys

from bcai import _imports, _run


def main(site_packages, overlay, *names):
    here = __file__.rpartition("/")[0].rpartition("/")[0]
    preloaded = preload(site_packages, overlay, names, ("ctypes", "gc"))
    import ctypes
    import gc
    serve = ctypes.PyDLL(here + "/child.so").bcai_zygote_serve
    serve.restype = None
    _spare_finalizers()
    gc.collect()
    gc.freeze()  # or the child's first collection would copy every object's page
    serve()
    _run.main("/in", "/work", site_packages, preloaded)


def preload(site_packages, overlay, names, tools=()):
    """tools: what of the standard library the caller needs, for the job to find as it finds the
    rest."""
    before = set(sys.modules)
    path = list(sys.path)
    sys.path[:] = [*path, *([overlay] if overlay else ()), site_packages]
    for name in names:
        __import__(name)
        _rehearse(sys.modules[name])
    sys.path[:] = path
    for tool in tools:
        __import__(tool)
    import os
    return _Preloaded({name: module for name, module in sys.modules.items()
                       if name not in before}, names, os)


def _rehearse(library):
    """Does what nearly every job does first, so that the library sets itself up here and not anew
    in each child, where each page that is written costs 3 µs. No gradients: torch refuses them in
    a child of a process that has computed some. Nothing so large that it would start threads."""
    for _ in range(10):  # until Python has adapted the code that runs
        x = library.ones((2, 3))
        str((x @ x.T + 1).sum())
        if library.__name__ == "torch":
            library.nn.Linear(3, 2)(x)


def _spare_finalizers():
    """What libraries take apart at an exit is gone with the process; to look through it would
    touch, and so copy, a fifth of torch's memory in each child."""
    weakref = sys.modules.get("weakref")
    if weakref is not None:
        weakref.finalize._registry.clear()


class _Preloaded:
    """The modules that a cold start would have to import. They stay where they are, for each one
    that is moved costs a page of memory; hidden are those that the job's policy refuses, until the
    job imports a library that brings them, as it would in a cold start."""

    def __init__(self, modules, names, os):
        self.modules = modules
        # Copies: to look at a name writes to its page.
        self._tops = {name.partition(".")[0].encode().decode() for name in modules}
        self.policy = _imports.Policy()
        self._refused = self.policy.refused_among(modules)  # at most: a job can ask for some
        self._names = names
        self._hidden = {}
        self._os = os

    def prepare(self, environment, policy, own_modules):
        """own_modules: names of the job's own files, which go before any library's."""
        have = self._os.environ
        for name in [name for name in have if name not in environment]:
            del have[name]
        for name, value in environment.items():
            if have.get(name) != value:
                have[name] = value
        if not self._tops.isdisjoint(own_modules):
            for module in self.modules:
                if module.partition(".")[0] in own_modules:
                    sys.modules.pop(module, None)
        if policy is not None:
            refused = [name for name in self._refused if policy.refused(name)]
            for name in (*refused, *self._names):
                if name in sys.modules:
                    self._hidden[name] = sys.modules.pop(name)
        if "torch" in self.modules:
            self.modules["torch"].default_generator.seed()
        if "numpy.random.mtrand" in self.modules:
            self.modules["numpy.random.mtrand"].seed()

    def find_spec(self, name):
        module = self._hidden.get(name)
        if module is None:
            return None
        return type(sys.__spec__)(name, _Loader(self, module))

    def show(self):
        for name, module in self._hidden.items():
            sys.modules.setdefault(name, module)
        self._hidden.clear()


class _Loader:
    def __init__(self, preloaded, module):
        self._preloaded = preloaded
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _):
        return self._module

    def exec_module(self, module):
        module.__spec__ = self._spec
        self._preloaded.show()
