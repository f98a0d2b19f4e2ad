"""A seccomp filter that takes the network, and what a parser never needs, from this process and all it starts.

Our own few dozen BPF instructions through prctl, so that no library has to be compiled. What it refuses answers EPERM:
a library that merely tries goes on. Linux on x86_64 and aarch64; elsewhere `cut_network` raises OSError.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from dataclasses import dataclass

# name: (x86_64, aarch64); None where the processor has no such call.
REFUSED: dict[str, tuple[int, int | None]] = {
    # The network. AF_UNIX as well: database, broker and Docker listen on such sockets. socketpair stays.
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    # io_uring opens sockets past any filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Leaving the group that is killed at the deadline.
    "setpgid": (109, 154),
    "setsid": (112, 157),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # The file system's shape, and namespaces, where new rights are found.
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # The kernel's larger doors.
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
CLONE, CLONE3, KILL = (56, 220), (435, 435), (62, 129)
NEW_NAMESPACES = 0x7E02_0000  # every CLONE_NEW* flag that clone takes

# struct seccomp_data: nr, arch, instruction_pointer, args[6]; little endian on both processors.
NR, ARCH, FIRST_ARGUMENT = 0, 4, 16
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
X32_CALLS = 0x4000_0000  # x86_64 answers a second set of numbers above this

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


@dataclass(frozen=True, slots=True)
class Processor:
    column: int
    audit_arch: int


PROCESSORS = {"x86_64": Processor(0, 0xC000_003E), "aarch64": Processor(1, 0xC000_00B7)}


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def cut_network() -> None:
    """Installs the filter and shows that it holds; raises OSError where this machine has none."""
    processor = PROCESSORS.get(platform.machine())
    if not sys.platform.startswith("linux") or processor is None:
        raise OSError(errno.ENOSYS, "no seccomp filter for this machine")
    instructions = filter_for(processor)
    program = Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        socket.socket().close()
    except PermissionError:
        return
    raise OSError(errno.ENOTRECOVERABLE, "the filter lets a socket through")


def filter_for(processor: Processor) -> bytes:
    """The BPF program: no call of the table, no namespace by clone, no clone3 (libc then takes clone), no kill(-1)."""
    column = processor.column
    numbers = [call[column] for call in REFUSED.values()]
    program = [
        step(LOAD, ARCH),
        step(EQUAL, processor.audit_arch, 1, 0),
        step(RETURN, KILL_PROCESS),
        step(LOAD, NR),
        step(AT_LEAST, X32_CALLS, 0, 1),
        step(RETURN, ERRNO | errno.ENOSYS),
        step(EQUAL, CLONE3[column], 0, 1),
        step(RETURN, ERRNO | errno.ENOSYS),
    ]
    for number in (number for number in numbers if number is not None):
        program += [step(EQUAL, number, 0, 1), step(RETURN, ERRNO | errno.EPERM)]
    for number, test in ((CLONE[column], (ANY_BIT, NEW_NAMESPACES)), (KILL[column], (EQUAL, 0xFFFF_FFFF))):
        program += [
            step(EQUAL, number, 0, 4),
            step(LOAD, FIRST_ARGUMENT),
            step(*test, 0, 1),
            step(RETURN, ERRNO | errno.EPERM),
            step(RETURN, ALLOW),
        ]
    return b"".join([*program, step(RETURN, ALLOW)])


def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
