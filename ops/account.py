"""The unprivileged account that PostgreSQL runs as when we are root (it refuses to be root). Standard library only.

Never changes the mode of a folder that is not ours: what the account cannot reach is put in its own home instead.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from ops.problem import Problem

NAME = "sonde-postgres"
HOME = Path("/var/lib") / NAME


def database_account() -> pwd.struct_passwd | None:
    """None unless we are root; then the account, made on first use."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(HOME), NAME]
    argv += ["--shell", "/usr/sbin/nologin"]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Problem(f"no useradd here: make an account {NAME} by hand, or run as another user than root") from None
    except subprocess.CalledProcessError as error:
        raise Problem(f"the account {NAME} cannot be made: {error.stderr.strip()}") from error
    return pwd.getpwnam(NAME)


def reachable(path: Path) -> bool:
    """Whether any account may pass through every folder above this path."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def own_folder(path: Path, account: pwd.struct_passwd) -> Path:
    """This folder, belonging to the account alone."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


def home() -> Path:
    """Where the account keeps what it cannot reach elsewhere; others may pass through, not look."""
    HOME.mkdir(parents=True, exist_ok=True, mode=0o711)
    return HOME


def copy_tree_once(source: Path, target: Path) -> Path:
    """A copy that is whole or absent, for programs that lie where the account cannot reach them."""
    if not target.exists():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copytree(source, partial, symlinks=True)
        try:
            partial.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(partial)
    return target


def become(account: pwd.struct_passwd) -> None:
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ["HOME"] = str(HOME)
