"""CPU time and memory of a process and all descendants, from Linux's /proc."""

import os
from contextlib import suppress
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Sum user and system time, to 10 ms a process; see proc_pid_stat(5)."""
    ticks = 0
    for each in family(pid):
        # The name in parentheses may have blanks.
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_A_SECOND


def resident_bytes(pid: int) -> int:
    """Sum resident memory; pages of forked processes count by proportional shares."""
    members = family(pid)
    return sum(_rollup(each, "Rss" if len(members) == 1 else "Pss") for each in members)


def peak_bytes(pid: int) -> int:
    """Return a process's peak of resident memory since the start or `reset_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmHWM")


def reset_peak(pid: int) -> None:
    """Set the peak to the present memory; see proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def family(pid: int) -> list[int]:
    """List the process and all descendants."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # A thread after its end.
            children += map(int, (task / "children").read_text().split())
    return [pid, *(member for child in children for member in family(child))]


def _rollup(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
