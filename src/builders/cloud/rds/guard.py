"""Runs one program as another user and lets it die with the process that started it.

    python -I -S guard.py <uid> <gid> <parent pid> <program> [argument ...]

Started as a script of its own, because a preexec function in a process with threads can deadlock, and because Linux
forgets the parent-death signal when the user changes: it has to be set after that and before exec (prctl(2)).
On systems other than Linux only the user is changed.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user, arrange for SIGQUIT when the parent ends (PostgreSQL's immediate stop), and exec."""
    uid, gid, parent = (int(text) for text in sys.argv[1:4])
    if os.getuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the process that started this program is gone")
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 the caller names the program


if __name__ == "__main__":
    main()
