"""Landlock: this process and all it starts read only what is named and write only below one folder.

It also keeps them from signalling (Linux 6.12), tracing, or reading memory and environment of the processes outside,
which run as the same user. Linux 5.13 and later; elsewhere `shut_files` raises OSError. Knows no parser.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# The same numbers on every processor.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH, ASK_VERSION = 1, 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
MAKE_DEVICES = 1 << 6 | 1 << 11
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READING = EXECUTE | READ_FILE | READ_DIR
# How many file rights each version of the kernel's interface knows: 1 has 13, 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV.
RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
NEWEST_RIGHTS = 16
TCP = 0b11  # bind, connect; from version 4
SCOPES = 0b11  # abstract sockets, signals; from version 6


def shut_files(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """From here on nothing but these can be opened; what does not exist is passed over. Raises OSError if it fails."""
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "no Landlock here")
    version = syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    every_right = (1 << RIGHTS_BY_VERSION.get(version, NEWEST_RIGHTS)) - 1
    attributes = struct.pack("=QQQ", every_right, TCP if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = syscall(CREATE_RULESET, attributes, size, 0)
    try:
        for path in readable:
            allow(ruleset, path, READING)
        for path in writable:
            allow(ruleset, path, every_right & ~MAKE_DEVICES)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= FILE_RIGHTS
        syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def syscall(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    # A C variadic takes whatever width it is given; the kernel reads whole registers.
    wide = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    answer = int(libc.syscall(ctypes.c_long(number), *wide))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
