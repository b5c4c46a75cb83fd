"""Ctrl-C and SIGTERM during training: the first ends the run saved, the second ends it at once."""

import os
import signal
import socket
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

import typer

GRACE = 1.0  # seconds that a second signal leaves for an orderly end


class Stopping:
    """Inside it, a signal stops ``trainer`` after its step, or, while there is none yet, leaves with 128 + signal."""

    def __init__(self) -> None:
        self.trainer: Any = None
        self.code = 0
        self._before: dict[int, Any] = {}
        # torchrun passes on a signal that the process may have got already; what does not end, it kills.
        self._launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
        self._left = threading.Event()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._first)
        # Python runs handlers between two operations, and one of torch's may take long: a thread counts as well.
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._in.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()
        return self

    def _first(self, number: int, frame: FrameType | None) -> None:
        self.code = 128 + number
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._launched else signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if self._launched else signal.SIG_DFL)
        if self.trainer is None:
            raise typer.Exit(self.code)
        self.trainer.stop(f"Stopped by {signal.Signals(number).name}.")

    def _count(self) -> None:
        seen = 0
        while byte := self._out.recv(1):
            seen += byte[0] in self._before
            if seen == 2 and not self._launched and not self._left.wait(GRACE):
                if sys.stderr.isatty():
                    sys.stderr.write("\x1b[?25h\n")  # the live display hides the cursor
                os._exit(128 + byte[0])
        self._out.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._left.set()
        signal.set_wakeup_fd(self._wakeup)
        self._in.shutdown(socket.SHUT_WR)  # the end of file for the thread, whoever else holds a copy
        self._in.close()
        self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # A library that was interrupted may have put an error of its own in the place of the exit.
        if self.code and self.trainer is None and not isinstance(error, KeyboardInterrupt):
            raise typer.Exit(self.code) from None
