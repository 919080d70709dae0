# SPDX-License-Identifier: Apache-2.0
# Put before each attack. attack(name, function): the function raises, or returns False, when it was
# held back; anything else worked. twin(name, function): the legitimate neighbour, which must work.
import ctypes
import json
import os
import platform
import signal
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
X86_64 = platform.machine() == "x86_64"
# Names of the calls that have other numbers on the two architectures; from 424 on they agree.
NUMBERS = {
    "ptrace": (101, 117), "syslog": (103, 116), "setuid": (105, 146), "capset": (126, 91),
    "personality": (135, 92), "sched_setscheduler": (144, 119), "mlockall": (151, 230),
    "modify_ldt": (154, None), "pivot_root": (155, 41), "adjtimex": (159, 171),
    "chroot": (161, 51), "settimeofday": (164, 170), "mount": (165, 40), "umount2": (166, 39),
    "swapon": (167, 224), "reboot": (169, 142), "sethostname": (170, 161),
    "setdomainname": (171, 162), "iopl": (172, None), "init_module": (175, 105),
    "quotactl": (179, 60), "io_setup": (206, 0), "clock_settime": (227, 112),
    "mbind": (237, 235), "kexec_load": (246, 104), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "unshare": (272, 97), "vmsplice": (278, 75),
    "perf_event_open": (298, 241), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "clock_adjtime": (305, 266), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "finit_module": (313, 273), "bpf": (321, 280), "userfaultfd": (323, 282),
    "clone": (56, 220), "acct": (163, 89), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "prctl": (157, 167), "mknodat": (259, 33),
    "ioctl": (16, 29), "mmap": (9, 222), "fanotify_init": (300, 262),
    "pidfd_send_signal": (424, 424), "io_uring_setup": (425, 425), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fspick": (433, 433),
    "pidfd_open": (434, 434), "clone3": (435, 435), "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442), "quotactl_fd": (443, 443), "memfd_secret": (447, 447),
}


def syscall(name, *arguments):
    number = NUMBERS[name][0 if X86_64 else 1]
    if number is None:
        raise OSError("no such call here")
    result = LIBC.syscall(ctypes.c_long(number), *(
        ctypes.c_long(argument) if isinstance(argument, int) else argument
        for argument in arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def say(**line):
    os.write(1, (json.dumps(line) + "\n").encode())


def attack(name, function):
    try:
        result = function()
    except BaseException as error:
        say(attack=name, worked=False, saw=repr(error)[:200])
    else:
        say(attack=name, worked=result is not False, saw=repr(result)[:200])


def twin(name, function):
    try:
        works = function() is not False
        saw = ""
    except BaseException as error:
        works, saw = False, repr(error)[:200]
    say(twin=name, works=works, saw=saw)


def in_child(function):
    """Runs the function in a child; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def child_succeeds(function):
    return in_child(function) == 0
