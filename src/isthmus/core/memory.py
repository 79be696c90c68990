"""How the process keeps the memory of tensors it has freed and the kernels it has made, and how much memory it takes."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGE = 1 << 30
_CLEAR, _STATUS, _MEMINFO = Path("/proc/self/clear_refs"), Path("/proc/self/status"), Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 62
_KERNELS, _MOST_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", 4096


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next tensor instead of giving it back to the system.

    Training frees and asks for the same tens of megabytes thousands of times; without this, every page of them is fetched
    and zeroed by the system each time. For whole programs (the command line), since it holds for the whole process.

    Returns:
        whether this C library can (glibc can).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, 2 * _LARGE - 1), (_TOP_PAD, 1 << 26))
    done = [bool(mallopt(name, value)) for name, value in settings]
    return all(done)


def keep_kernels() -> None:
    """Let oneDNN keep the kernels of four times as many shapes as it does by default, unless the environment says how many.

    It makes a kernel for each shape of a product, which takes as long as the product itself, and forgets the oldest of 1,024. A
    corpus has some hundred shapes of batches, a step some forty products. A kernel takes about half a megabyte. For whole
    programs, before their first product: oneDNN reads the environment once.
    """
    os.environ.setdefault(_KERNELS, str(_MOST_KERNELS))


def keep_for_next_steps() -> None:
    """Keep freed memory and kernels: what a program that trains asks of its process, before its first product."""
    keep_freed_memory()
    keep_kernels()


class Gauge:
    """How much memory this process takes on a device, and how much it may take.

    Args:
        device: `cpu`, or a GPU's name.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def reset(self) -> None:
        """Measure the peak from now on; where the system cannot, it stays that of the whole process."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR.exists():
            with suppress(OSError):
                _CLEAR.write_text("5", encoding="ascii")

    def peak(self) -> int:
        """The most bytes that were taken at once since `reset`."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self._device))
        if _STATUS.exists():
            return _kibibytes(_STATUS, "VmHWM") * 1024
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def room(self) -> int:
        """How many bytes more could be taken now: what is free on the machine, and in the container where there is one."""
        if self._device.type == "cuda":
            return int(torch.cuda.mem_get_info(self._device)[0])
        if not _MEMINFO.exists():
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - self.peak()
        return min(_kibibytes(_MEMINFO, "MemAvailable") * 1024, _left_in_container())


def _kibibytes(path: Path, name: str) -> int:
    """A line `name: number kB` of a file of the system."""
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _left_in_container() -> int:
    """What the limit of a container (cgroup version 2) leaves; without a limit more than any machine has."""
    try:
        limit, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current")
        )
    except OSError:
        return _NO_LIMIT
    return _NO_LIMIT if limit == "max" else max(0, int(limit) - int(used))
