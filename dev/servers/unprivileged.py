"""The user for PostgreSQL, since PostgreSQL refuses root.

PostgreSQL also refuses a user number without a name. No permission is changed outside PostgreSQL's
folder. These users are tried, in this order:

1. the user who starts this, unless that is root;
2. for root, an unprivileged user, who must be able to reach the programs and the folder;
3. for root, that user with the right to pass any folder (a checkout under /root, an umask of 077);
4. a user namespace in which the caller has that user's number. Containers need this where root may
   not change to another user, or where the user has no name.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.servers.processes import LIBC, StartError

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
class RunAs:
    """The user of a program, as owner of a folder and as a child's call."""

    owner: int
    group: int
    switch_user: Callable[[], None] | None


def run_as(*, program: Path, folder: Path) -> RunAs:
    """Find the first user for whom `program` starts and `folder` is writable.

    The folder is handed over to the found user. Raises StartError without such a user.
    """
    own_id, owner = os.geteuid(), folder.stat().st_uid
    if own_id not in (0, owner):
        raise StartError(f"{folder} belongs to another user: remove it, or set DATABASE_URL")
    for identity in _candidates_of_root(folder) if own_id == 0 else _candidates_of_user():
        if _works(identity, program=program, folder=folder):
            return identity
    raise StartError(
        f"PostgreSQL does not run as {'root' if own_id == 0 else 'a user without a name'}, and"
        f" nobody else can run it in {folder}: set DATABASE_URL, or be another user"
    )


def _candidates_of_user() -> Iterator[RunAs]:
    if _has_name(os.geteuid()):
        yield RunAs(os.geteuid(), os.getegid(), None)
    elif sys.platform == "linux":
        yield _in_user_namespace()


def _candidates_of_root(folder: Path) -> Iterator[RunAs]:
    # The cluster of an ordinary user stays with the user, so both can use the cluster.
    status = folder.stat()
    if status.st_uid and _has_name(status.st_uid):
        owner, group = status.st_uid, status.st_gid
    else:
        nobody = _unprivileged_user()
        owner, group = nobody.pw_uid, nobody.pw_gid

    def change_user() -> None:
        os.setgroups([])
        os.setgid(group)
        os.setuid(owner)

    yield RunAs(owner, group, change_user)
    if sys.platform != "linux":
        return
    # READ_SEARCH is enough, but Docker's default set has only OVERRIDE.
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):

        def change_user_and_keep(capability: int = capability) -> None:
            # Without this bit the change of user drops capabilities. PostgreSQL looks for other
            # programs by access(2), and without capabilities finds none.
            _libc("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
            change_user()
            _set_capability(capability)
            _libc("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)

        yield RunAs(owner, group, change_user_and_keep)
    yield _in_user_namespace()


def _has_name(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def _unprivileged_user() -> pwd.struct_passwd:
    """Return `nobody`, or else another user besides root. Raises StartError."""
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    if not users:
        raise StartError(
            "PostgreSQL does not run as root and there is no other user: set DATABASE_URL"
        )
    return users.get("nobody") or next(iter(users.values()))


def _in_user_namespace() -> RunAs:
    user, group = os.geteuid(), os.getegid()
    inside = _unprivileged_user()

    def enter() -> None:
        _libc("unshare", CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{inside.pw_uid} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{inside.pw_gid} {group} 1")

    return RunAs(user, group, enter)


def _set_capability(capability: int) -> None:
    """Make the capability effective, permitted and inheritable, by capset(2)."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _libc("capset", header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))


def _libc(name: str, *arguments: object) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _works(identity: RunAs, *, program: Path, folder: Path) -> bool:
    def prepare() -> None:
        if identity.switch_user is not None:
            identity.switch_user()
        os.chdir(folder)
        if not os.access(program, os.X_OK):
            raise PermissionError(program)
        if os.stat(folder).st_uid != os.geteuid():  # A file system without chown.
            raise PermissionError(folder)

    try:
        _hand_over(folder, identity)
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


def _hand_over(folder: Path, identity: RunAs) -> None:
    if folder.stat().st_uid == identity.owner:
        return
    for path in folder.rglob("*"):
        os.chown(path, identity.owner, identity.group, follow_symlinks=False)
    os.chown(folder, identity.owner, identity.group)
