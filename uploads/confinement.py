"""What the child takes from itself before it opens the file: time, memory, the network, everyone else's files.

Every measure but the limits may be missing on a machine (another system, a container that forbids it). Then the others
still hold, and `confine` says what was had. Must run while the process has one thread. Knows no parser and no Django.
"""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from uploads.landlock import prctl, shut_files
from uploads.seccomp import cut_network
from uploads.wire import Confined, Job

CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x0800_0000, 0x1000_0000, 0x4000_0000
CAPABILITY_VERSION_3 = 0x2008_0522
PR_SET_PDEATHSIG = 1
NICENESS = 10
CPU_GRACE_S = 2
OTHERS_UNKNOWN = 1024  # without /proc

# What Python, C libraries and an OCR program open beside their own folders. No /etc as a whole: it holds secrets.
COMMON = """
    /usr /lib /lib64 /lib32 /bin /opt /nix/store /run/current-system
    /etc/alternatives /etc/fonts /etc/group /etc/ld.so.cache /etc/locale.alias /etc/localtime /etc/magic /etc/mime.types
    /etc/nsswitch.conf /etc/passwd /etc/timezone
    /proc/self /proc/cpuinfo /proc/meminfo /proc/filesystems /proc/stat /proc/sys/vm /proc/sys/kernel
    /sys/devices/system /sys/fs/cgroup /dev/random /dev/urandom /dev/zero
""".split()


class Orphaned(Exception):
    """The worker died before its child could ask to die with it."""


def confine(job: Job, parent: int) -> Confined:
    """`parent`: the process id of the worker, as it was when the child began."""
    os.nice(NICENESS)
    volunteer_for_oom()
    namespace = held("namespace", leave_network)
    die_with(parent)
    # A new user namespace counts its processes from nothing; without one, all that this user runs count together.
    limit(job, others=0 if namespace else processes_of_ours())
    files = held("landlock", lambda: shut_files(readable(job), [Path(job.scratch), Path("/dev/null")]))
    return Confined((*namespace, *held("seccomp", cut_network)), files)


def held(measure: str, take: Callable[[], None]) -> tuple[str, ...]:
    try:
        take()
    except OSError:
        return ()
    return (measure,)


def die_with(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise Orphaned


def volunteer_for_oom() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def leave_network() -> None:
    """An empty network of its own, not even loopback up; a user namespace with it, in which no right is kept.

    The same ids go in and out of it: the child reads its file as the worker would.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "no namespaces here")
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(line)
    header, no_rights = struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24)
    if libc.capset(header, no_rights):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def limit(job: Job, others: int) -> None:
    """The kernel does not count root's processes: for root the fence counts them."""
    # The soft limit of processor time says SIGXCPU, which the fence can tell from a crash; the hard one kills.
    ceilings = {
        resource.RLIMIT_CPU: job.cpu_seconds + CPU_GRACE_S,
        resource.RLIMIT_AS: job.memory_bytes,
        resource.RLIMIT_FSIZE: job.file_bytes,
        resource.RLIMIT_NOFILE: job.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: others + job.processes,
    }
    for kind, wanted in ceilings.items():
        _, ceiling = resource.getrlimit(kind)
        hard = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
        soft = min(job.cpu_seconds, hard) if kind == resource.RLIMIT_CPU else hard
        # macOS has a name for RLIMIT_AS and no such limit.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def processes_of_ours() -> int:
    """Threads of this user on this machine: that is what RLIMIT_NPROC counts."""
    user, count = os.getuid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user:
                count += len(os.listdir(folder / "task"))
    return count or OTHERS_UNKNOWN


def readable(job: Job) -> list[Path]:
    package = Path(__file__).resolve().parent
    ours = [package, Path(sys.prefix), Path(sys.base_prefix), job.source.path, *map(Path, job.readable)]
    # The folder above the package holds the data directory: it stays shut.
    modules = [Path(entry) for entry in sys.path if Path(entry) != package.parent]
    return [*map(Path, COMMON), *ours, *modules]
