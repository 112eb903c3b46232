"""Takes from a process that decodes strangers' bytes whatever it does not need for that."""

from __future__ import annotations

import contextlib
import os
import resource
import sys

_LOW_PRIORITY = 10  # whoever streams text to readers goes first


def isolate() -> None:
    """No files of its own, no core dump with somebody's picture in it, and no network where the kernel lets us say so."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(_LOW_PRIORITY)
    if sys.platform == "linux":
        import ctypes

        new_user_namespace, new_network_namespace = 0x10000000, 0x40000000
        # Refused in many containers; nothing here opens a connection either way.
        ctypes.CDLL(None, use_errno=True).unshare(new_user_namespace | new_network_namespace)
