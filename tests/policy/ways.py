# SPDX-License-Identifier: Apache-2.0
"""31 ways around the import policy, as documented expectations: so that nobody claims more.

name: (code whose last line holds a module that the policy refuses, before the start, at run time)
"""

CAUGHT, RAN = True, False
WAYS = {
    "statement": ("import ctypes\nctypes.CDLL", CAUGHT, CAUGHT),
    "statement as": ("import socket as math\nmath.socket", CAUGHT, CAUGHT),
    "from": ("from ctypes import CDLL", CAUGHT, CAUGHT),
    "submodule": ("import ctypes.util", CAUGHT, CAUGHT),
    "from package": ("from multiprocessing import managers", CAUGHT, CAUGHT),
    "inside a function": ("def f():\n    import ctypes\nf()", CAUGHT, CAUGHT),
    "unknown package": ("import _xxsubinterpreters", CAUGHT, CAUGHT),
    "import_module": ("import importlib\nimportlib.import_module('ctypes')", RAN, CAUGHT),
    "import_module alias": ("from importlib import import_module as i\ni('c' + 'types')",
                            RAN, CAUGHT),
    "exec": ("exec('import ctypes')", RAN, CAUGHT),
    "own file": ("open('mine.py', 'w').write('import ctypes')\nimport importlib\n"
                 "importlib.invalidate_caches()\nimportlib.import_module('mine')", RAN, CAUGHT),
    "finder removed": ("import sys\nsys.meta_path.pop(0)\nimport ctypes", CAUGHT, RAN),
    "exec elsewhere": ("exec('import ctypes', {})", RAN, RAN),
    "eval": ("eval(\"__import__('ctypes')\")", RAN, RAN),
    "__import__": ("__import__('ctypes')", RAN, RAN),
    "__import__ of builtins": ("import builtins\ngetattr(builtins, '__imp' + 'ort__')('ctypes')",
                               RAN, RAN),
    "_gcd_import": ("import importlib._bootstrap as b\nb._gcd_import('ctypes')", RAN, RAN),
    "attribute of the stdlib": ("import asyncio\nasyncio.base_events.socket.socket", RAN, RAN),
    "attribute of numpy": ("import numpy\nnumpy.ctypeslib.ctypes.CDLL", RAN, RAN),
    "sys.modules": ("import asyncio, sys\nsys.modules['socket'].socket", RAN, RAN),
    "already imported": ("import asyncio, importlib\nimportlib.import_module('socket')", RAN, RAN),
    "pickle": ("import pickle\npickle.loads(b'cctypes\\nCDLL\\n.')", RAN, RAN),
    "runpy": ("import runpy\nrunpy.run_module('pty')", RAN, RAN),
    "pkgutil": ("import pkgutil\npkgutil.resolve_name('ctypes:CDLL')", RAN, RAN),
    "loader": ("import importlib.util as u\ns = u.find_spec('ctypes')\n"
               "m = u.module_from_spec(s)\ns.loader.exec_module(m)\nm.CDLL", RAN, RAN),
    "file elsewhere": ("import sys, tempfile, importlib\nd = tempfile.mkdtemp()\n"
                       "open(d + '/elsewhere.py', 'w').write('import ctypes')\n"
                       "sys.path.insert(0, d)\nimportlib.import_module('json')\n"
                       "__import__('elsewhere')", RAN, RAN),
    "thread": ("import threading\nr = []\nt = threading.Thread(target=lambda: "
               "r.append(__import__('ctypes')))\nt.start()\nt.join()\nr[0].CDLL", RAN, RAN),
    "subclass walk": ("w = [c for c in object.__subclasses__() if c.__name__ == '_ModuleLock'][0]\n"
                      "w.__init__.__globals__['_gcd_import']('ctypes')", RAN, RAN),
    "frame": ("g = (x for x in ())\ng.gi_frame.f_builtins['__import__']('ctypes')", RAN, RAN),
    "policy emptied": ("import gc\nfor o in gc.get_objects():\n"
                       "    if type(o).__name__ == 'Policy': o._asked = {'ctypes'}\n"
                       "exec('import ctypes')", RAN, RAN),
    "another interpreter": ("import os, sys\n"
                            "assert os.system(sys.executable + \" -c 'import ctypes'\") == 0",
                            RAN, RAN),
}
