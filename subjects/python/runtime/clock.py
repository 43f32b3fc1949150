"""Named timers, so that what a runtime still waits for can be told.  r[control.time]"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Every timer of one runtime."""

    def __init__(self) -> None:
        self._pending: dict[asyncio.TimerHandle, str] = {}

    def after(self, name: str, seconds: float, act: Callable[[], None]) -> Callable[[], None]:
        """Run `act` later; returns what cancels it."""

        def fire() -> None:
            self._pending.pop(handle, None)
            act()

        def cancel() -> None:
            handle.cancel()
            self._pending.pop(handle, None)

        handle = asyncio.get_running_loop().call_later(seconds, fire)
        self._pending[handle] = name
        return cancel

    async def sleep(self, name: str, milliseconds: int) -> None:
        """Wait; cancellable. Zero waits for nothing and makes no timer."""
        if milliseconds <= 0:
            return
        over = asyncio.get_running_loop().create_future()
        cancel = self.after(name, milliseconds / 1000, lambda: over.set_result(None))
        try:
            await over
        finally:
            cancel()

    def pending(self) -> list[tuple[str, int]]:
        """(name, milliseconds from now) of each."""
        now = asyncio.get_running_loop().time()
        return [
            (name, max(0, round((handle.when() - now) * 1000)))
            for handle, name in self._pending.items()
        ]
