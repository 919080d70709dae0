# SPDX-License-Identifier: Apache-2.0
"""The life of a job: a first process that only waits, a second that runs the code as __main__,
collects the outputs and ends.

Process 1 of a pid namespace ignores signals it has no handler for, SIGKILL from inside included,
and inherits every orphan. A job in that place could not end itself and would collect zombies, so
the job is process 2. Nothing of the standard library is imported before the job's code runs.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import _sitebuiltins  # frozen
import builtins
import sys
from _json import encode_basestring_ascii as quote
from _signal import (
    SIG_BLOCK,
    SIG_DFL,
    SIG_SETMASK,
    SIGTERM,
    getsignal,
    pthread_sigmask,
    signal,
    valid_signals,
)
from _thread import get_ident
from posix import (
    O_RDONLY,
    WEXITSTATUS,
    WIFSIGNALED,
    WTERMSIG,
    _exit,
    chdir,
    close,
    dup2,
    fork,
    fstat,
    getpid,
    kill,
    listdir,
    mkdir,
    open,
    register_at_fork,
    waitpid,
    write,
)

import bcai
from bcai import _collect, _control, _imports, _secrets

_TERMINATED = 143  # 128 + SIGTERM
_TRACEBACK_BYTES_MAX = 60_000
_HERE = __file__.rpartition("/")[0].rpartition("/")[0]

_default_hook = sys.excepthook
_set_recursion_limit = sys.setrecursionlimit


def main(in_directory, work_directory, site_packages=None, preloaded=None, tell_end=None):
    """preloaded: of a zygote's child, which is a second process already. tell_end: called by the
    first process with the exit code that it ends with."""
    task = _imports.parse_json(_imports.read_file(in_directory + "/task.json").decode(), 0)[0]
    code = _imports.read_file(in_directory + "/main.py")
    if preloaded is None:
        _become_second_process(task.get("proxy"), tell_end)
    secrets = _secrets.take(task["secrets"]) if task.get("secrets") else {}
    _control.open_pipe()
    job = _Job(task, code, in_directory, work_directory.rstrip("/"))
    signal(SIGTERM, job.on_terminate)
    register_at_fork(before=job.before_fork, after_in_parent=job.after_fork_in_parent,
                     after_in_child=job.after_fork_in_child)
    _collect.reserve_descriptors()
    _collect.reserve_space(job.work_directory + "/.bcai")
    job.prepare(site_packages, preloaded)
    _secrets.give(secrets)
    del secrets
    job.leave(job.run())


def _become_second_process(proxy, tell_end=None):
    # What a job sends to process 1 must not end it, from the job's first moment: Linux sees to it,
    # gVisor does not, nor to what is for its process group. The job stays in that group: gVisor of
    # 2022 locks up for good when setsid() takes the last process whose parent is of another group
    # of the session out of a group. The relay needs no signals either.
    before = pthread_sigmask(SIG_SETMASK, valid_signals())
    try:
        if proxy:
            _start_relay(proxy)
        child = fork()
    except OSError:
        child = 0  # only one process is allowed: then the job is the first
    if child == 0:
        pthread_sigmask(SIG_SETMASK, before)
        return
    signal(SIGTERM, lambda *_: kill(child, SIGTERM))
    pthread_sigmask(SIG_SETMASK, valid_signals() - {SIGTERM})
    for fd in range(4 if tell_end is None else 3):
        try:
            close(fd)
        except OSError:
            pass
    while True:
        pid, status = waitpid(-1, 0)
        if pid == child:
            code = 128 + WTERMSIG(status) if WIFSIGNALED(status) else WEXITSTATUS(status)
            if tell_end is not None:
                tell_end(code)
            _exit(code)


def _start_relay(proxy):
    """A process of its own brings what comes to a port of the loopback to the proxy's socket. It
    listens before the job begins, and ends with the sandbox."""
    from bcai import _relay
    listener = _relay.listen(proxy["port"])
    if fork() == 0:
        null = open("/dev/null", O_RDONLY)
        for fd in range(4):  # neither the job's output nor its control pipe
            dup2(null, fd)
        try:
            _relay.serve(listener, proxy["socket"])
        finally:
            _exit(1)
    listener.close()


class _Job:
    def __init__(self, task, code, in_directory, work_directory):
        self.task = task
        self.code = code
        self.filename = task["filename"]
        self.in_directory = in_directory
        self.work_directory = work_directory
        self.path = work_directory + "/" + self.filename
        self.pid = getpid()
        self.error = "null"
        self.collecting = False
        self.collected = False
        self.exit_code = 0
        self.masks = {}  # thread -> its signal mask while it forks
        self.main = type(sys)("__main__")

    def prepare(self, site_packages, preloaded):
        chdir(self.work_directory)
        _guarded(lambda: mkdir("outputs"))  # one of the job's own files may be in there already
        imports = self.task.get("imports") or {}
        policy = None
        if imports.get("restricted"):
            policy = _imports.Policy() if preloaded is None else preloaded.policy
            policy.allow(imports.get("allowed", ()))
        patches = {
            "tqdm.std": _imports.patch_tqdm,
            "linecache": _imports.patch_linecache(self.lines(), (self.filename, self.path)),
            "multiprocessing.spawn": _imports.patch_spawn(self.path, self.code,
                                                          self.in_directory + "/main.py"),
        }
        if preloaded is not None:
            self.take_over(preloaded, policy, patches)
        sys.meta_path.insert(0, _imports.Finder(policy, vars(self.main), self.filename,
                                                self.work_directory + "/", patches, preloaded))
        major, minor = sys.version_info[:2]
        site_packages = site_packages or f"/opt/venv/lib/python{major}.{minor}/site-packages"
        overlay = [self.task["overlay"]] if self.task.get("overlay") else []
        sys.path[:] = [self.work_directory, *sys.path, *overlay, site_packages]
        sys.argv[:] = [self.filename, *self.task.get("arguments", ())]
        # `site` gives scripts these two.
        builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
        builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
        vars(self.main).update(__file__=self.path, __builtins__=builtins, __cached__=None)

    def take_over(self, preloaded, policy, patches):
        own_modules = {name.partition(".")[0] for name in listdir(self.work_directory)}
        for name in patches.keys() & preloaded.modules.keys():
            _guarded(lambda name=name: patches.pop(name)(preloaded.modules[name]))
        preloaded.prepare(self.task["environment"], policy, own_modules)

    def lines(self):
        return self.code.decode("utf-8", "replace").splitlines(keepends=True)

    def run(self):
        """Executes the code; returns what it ended with: None or an exception."""
        sys.modules["__main__"] = self.main
        try:
            program = compile(self.code, self.filename, "exec", dont_inherit=True)
            exec(program, vars(self.main))
        except BaseException as error:
            error.__traceback__ = error.__traceback__.tb_next
            return error
        return None

    def leave(self, error):
        """Ends the process as Python would, but for the interpreter's shutdown: with torch loaded
        that costs 140 ms and more."""
        _set_recursion_limit(10_000)
        code = self.exit_code_of(error)
        _guarded(_join_threads)
        if getpid() == self.pid:
            if not self.collecting:
                self.collecting = True
                self.exit_code = code
                self.write_outputs()
            given = dict(bcai._given)
            _guarded(_run_exit_functions)
            if any(given.get(name, given) is not value for name, value in bcai._given.items()):
                self.write_outputs()
        else:
            self.exit_code = code  # a process that the job forked came back from its code
            _guarded(_run_exit_functions)
        _guarded(self.flush)
        _exit(self.exit_code)

    def exit_code_of(self, error):
        if error is None:
            return 0
        if not isinstance(error, SystemExit):
            self.report(error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        _guarded(lambda: print(error.code, file=sys.stderr))
        return 1

    def on_terminate(self, *_):
        # Ends here and now: an exception could be caught by the job, and time is short.
        if self.collecting and not self.collected:
            self.exit_code = _TERMINATED
            return
        _set_recursion_limit(10_000)
        if not self.collecting:
            self.collecting = True
            self.write_outputs()
        _guarded(_flush_streams)
        _exit(_TERMINATED)

    # A forked process ends by SIGTERM as any other. The signal waits until that is arranged: one
    # that came before would be lost, for Python forgets in the child what it had not yet handled.
    def before_fork(self):
        self.masks[get_ident()] = pthread_sigmask(SIG_BLOCK, (SIGTERM,))

    def after_fork_in_parent(self):
        pthread_sigmask(SIG_SETMASK, self.masks.pop(get_ident()))

    def after_fork_in_child(self):
        if getsignal(SIGTERM) == self.on_terminate:
            signal(SIGTERM, SIG_DFL)
        self.after_fork_in_parent()

    def write_outputs(self):
        _control.flush()
        _collect.write_outputs(self.work_directory + "/.bcai", bcai._given, vars(self.main),
                               self.task.get("carried_bytes_max", 64_000_000), self.error)
        self.collected = True

    def report(self, error):
        """Shows an uncaught exception as Python does and keeps it for outputs.json."""
        _guarded(lambda: self.complete_syntax_error(error))
        _guarded(lambda: _cut_own_frames(error, set()))
        try:
            import traceback
            text = "".join(traceback.format_exception(error))
        except BaseException:  # the job broke what the module needs
            text = self.plain_traceback(error)
        shown = False
        if sys.excepthook is not _default_hook:
            shown = _guarded(lambda: sys.excepthook(type(error), error, error.__traceback__))
        if not shown and not _guarded(lambda: (sys.stderr.write(text), sys.stderr.flush())):
            _guarded(lambda: write(2, text.encode("utf-8", "replace")))
        if getpid() == self.pid:
            self.error = (f'{{"type":{quote(_cut(type(error).__qualname__, 256))},'
                          f'"message":{quote(_cut(_message(error), 16_384))},'
                          f'"traceback":{quote(_cut_middle(text, _TRACEBACK_BYTES_MAX))},'
                          f'"line":{self.line_of(error)}}}')

    def complete_syntax_error(self, error):
        # Errors found after parsing carry no text: Python would look for a file of that name.
        if (isinstance(error, SyntaxError) and error.text is None
                and error.filename == self.filename and error.lineno):
            error.text = self.lines()[error.lineno - 1]

    def line_of(self, error):
        try:
            if isinstance(error, SyntaxError) and error.filename == self.filename:
                return int(error.lineno or 0)
            line = 0
            frame = error.__traceback__
            while frame is not None:
                if frame.tb_frame.f_code.co_filename == self.filename:
                    line = frame.tb_lineno
                frame = frame.tb_next
            return line
        except Exception:
            return 0

    def plain_traceback(self, error):
        lines = self.lines()
        text = "Traceback (most recent call last):\n"
        frame = error.__traceback__
        while frame is not None:
            code = frame.tb_frame.f_code
            text += f'  File "{code.co_filename}", line {frame.tb_lineno}, in {code.co_name}\n'
            if code.co_filename == self.filename and 0 < frame.tb_lineno <= len(lines):
                text += f"    {lines[frame.tb_lineno - 1].strip()}\n"
            frame = frame.tb_next
        return f"{text}{type(error).__qualname__}: {_message(error)}\n"

    def flush(self):
        _guarded(_flush_streams)
        if _has_open_files():
            # Python would close them as it takes the modules apart.
            vars(self.main).clear()
            import gc
            gc.collect()
            writers = ("TextIOWrapper", "BufferedWriter", "BufferedRandom")
            for thing in gc.get_objects():
                if type(thing).__name__ in writers and type(thing).__module__ == "_io":
                    _guarded(thing.flush)
        ctypes = sys.modules.get("ctypes")
        if ctypes is not None:
            ctypes.CDLL(None).fflush(None)  # what native code printed


def _guarded(step):
    """Runs a step of the end that the job may have broken; True when it went through."""
    try:
        step()
        return True
    except BaseException:
        return False


def _join_threads():
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _run_exit_functions():
    import atexit
    atexit._run_exitfuncs()


def _flush_streams():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            _guarded(stream.flush)


def _has_open_files():
    for name in listdir("/proc/self/fd"):
        if int(name) > 3:
            try:
                if fstat(int(name)).st_mode & 0o170000 == 0o100000:
                    return True
            except OSError:
                pass  # the listing's own descriptor
    return False


def _cut_own_frames(error, seen):
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    frame = error.__traceback__
    while frame is not None and _is_own(frame):
        frame = frame.tb_next
    error.__traceback__ = frame
    while frame is not None:
        while frame.tb_next is not None and _is_own(frame.tb_next):
            frame.tb_next = frame.tb_next.tb_next
        frame = frame.tb_next
    _cut_own_frames(error.__cause__, seen)
    _cut_own_frames(error.__context__, seen)
    for part in getattr(error, "exceptions", ()) if isinstance(error, BaseExceptionGroup) else ():
        _cut_own_frames(part, seen)


def _is_own(frame):
    return frame.tb_frame.f_code.co_filename.startswith(_HERE + "/")


def _message(error):
    try:
        return str(error)
    except BaseException:
        return "(its message could not be read)"


def _cut(text, bytes_max):
    return _secrets.hide(text).encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore")


def _cut_middle(text, bytes_max):
    data = _secrets.hide(text).encode("utf-8", "replace")
    if len(data) <= bytes_max:
        return data.decode("utf-8")
    half = bytes_max // 2
    return (data[:half].decode("utf-8", "ignore") + "\n  [...]\n"
            + data[-half:].decode("utf-8", "ignore"))
