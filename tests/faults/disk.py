"""A disk: a file system of its own in memory, which can be full from one moment to the next, and have space again."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from mongod import do_without

SPACE: Final = "3G"
"""It takes memory only for what is on it."""


class Disk:
    """A tmpfs on `folder` between `mount` and `unmount`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self) -> None:
        """Skips the test where that is not allowed, except in CI."""
        self.folder.mkdir()
        mount = shutil.which("mount")
        if mount is None or os.geteuid() != 0:
            do_without("only root can mount a file system")
        mounted = self._mount(f"size={SPACE}")
        if mounted.returncode != 0:
            do_without(f"a file system cannot be mounted here: {mounted.stderr.strip()}")

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def fill(self) -> None:
        """Leave it as much space as is in use."""
        for _ in range(100):
            usage = os.statvfs(self.folder)
            if self._mount(f"remount,size={(usage.f_blocks - usage.f_bfree) * usage.f_frsize}").returncode == 0:
                return
        raise AssertionError("the disk grows faster than it can be filled")

    def give_space(self) -> None:
        """Let it grow again."""
        assert self._mount(f"remount,size={SPACE}").returncode == 0

    def _mount(self, options: str) -> "subprocess.CompletedProcess[str]":
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)
