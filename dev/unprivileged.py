"""Runs PostgreSQL for root, whom it refuses, with no permission changed outside its own folder.

Three ways, tried from the least privileged on:

1. as an unprivileged user, who must be able to reach the programs and the folder;
2. as that user with the right to pass any folder (a checkout under /root, or an umask of 077);
3. in a user namespace in which this very root goes by another number, for containers whose root
   may not change to another user.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.processes import LIBC, StartError

NOBODY = 65534
NAMESPACE_ID = 1000  # Any number but 0 makes PostgreSQL content.

# linux/prctl.h, linux/securebits.h, linux/capability.h, linux/sched.h
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class Guise:
    """As whom the program runs: who owns its folder then, and the call that a child makes."""

    owner: int
    group: int
    become: Callable[[], None] | None


def guise_for(*, program: Path, folder: Path) -> Guise:
    """The first guise in which `program` starts and may write to `folder`.

    Hands the folder over to the guise's owner. Raises StartError where there is none.
    """
    if os.geteuid() != 0:
        if folder.stat().st_uid != os.geteuid():
            raise StartError(f"{folder} belongs to another user: remove it, or set DATABASE_URL")
        return Guise(os.geteuid(), os.getegid(), None)
    for guise in _guises_of_root(folder):
        if _works(guise, program=program, folder=folder):
            return guise
    raise StartError(
        f"PostgreSQL does not run as root, and no other user can run it in {folder}:"
        " set DATABASE_URL, or run this as another user"
    )


def _guises_of_root(folder: Path) -> Iterator[Guise]:
    # A cluster that an ordinary user made stays that user's, so that both can go on using it.
    status = folder.stat()
    owner, group = (status.st_uid, status.st_gid) if status.st_uid else (NOBODY, NOBODY)

    def change_user() -> None:
        os.setgroups([])
        os.setgid(group)
        os.setuid(owner)

    yield Guise(owner, group, change_user)
    if sys.platform != "linux":
        return
    # Docker's default set has OVERRIDE but lacks READ_SEARCH, which would be enough.
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):

        def change_user_and_keep(capability: int = capability) -> None:
            # Without this bit the change of user drops capabilities, and access(2), with which
            # PostgreSQL looks for its programs, answers as if there were none.
            _libc("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
            change_user()
            _set_capability(capability)
            _libc("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)

        yield Guise(owner, group, change_user_and_keep)
    yield Guise(0, 0, _enter_user_namespace)


def _enter_user_namespace() -> None:
    _libc("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NAMESPACE_ID} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NAMESPACE_ID} 0 1")


def _set_capability(capability: int) -> None:
    """capset(2) with this one as effective, permitted and inheritable."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _libc("capset", header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))


def _libc(name: str, *arguments: object) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _works(guise: Guise, *, program: Path, folder: Path) -> bool:
    def prepare() -> None:
        if guise.become is not None:
            guise.become()
        os.chdir(folder)
        if not os.access(program, os.X_OK):
            raise PermissionError(program)
        if os.stat(folder).st_uid != os.geteuid():  # A file system that ignores chown.
            raise PermissionError(folder)

    try:
        _hand_over(folder, guise)
        subprocess.run(
            [program, "-V"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=prepare,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _hand_over(folder: Path, guise: Guise) -> None:
    if folder.stat().st_uid == guise.owner:
        return
    for path in folder.rglob("*"):
        os.chown(path, guise.owner, guise.group, follow_symlinks=False)
    os.chown(folder, guise.owner, guise.group)
