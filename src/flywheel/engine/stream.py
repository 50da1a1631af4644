"""From a thread that generates to the one that reads; either may go first.

The worker never waits for the reader: what it may put is bounded by `max_tokens`, and a reader that
stops reading without closing would else hold a slot for ever. The reader closes, or is collected
as garbage, and the worker sees it at its next step.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Self

from flywheel.engine.protocol import Piece
from flywheel.errors import EngineError

CLOSED = "The engine was closed. Open it again."


class Stream:
    """What the worker holds: where pieces go, and whether anybody still wants them."""

    def __init__(self, on_cancel: Callable[[], None], num_choices: int) -> None:
        self._items: SimpleQueue[Piece | EngineError | None] = SimpleQueue()
        self._next: deque[Piece | EngineError | None] = deque()
        """What the reader has taken, and not told yet."""
        self._ended, self._cancelled = threading.Event(), threading.Event()
        self._on_cancel = on_cancel
        self._unfinished = set(range(num_choices))

    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()
        self._on_cancel()

    def wait(self, seconds: float) -> bool:
        """Waits, and says whether it was cancelled meanwhile."""
        return self._cancelled.wait(seconds)

    def put(self, piece: Piece) -> None:
        if piece.finish:
            self._unfinished.discard(piece.choice)
        self._items.put(piece)

    def end(self, error: EngineError | None = None) -> None:
        """No more comes. What was cancelled ends as such, whatever else went wrong."""
        if self.is_cancelled():
            for choice in sorted(self._unfinished):
                self._items.put(Piece(choice=choice, finish="cancelled"))
            error = None
        elif self._unfinished and error is None:
            error = EngineError("The engine broke off before the end of its answer.")
        self._items.put(error)
        self._ended.set()

    def take(self) -> Piece | EngineError | None:
        """The next piece, waiting for it; at the end None, or why it broke off."""
        return self._next.popleft() if self._next else self._items.get()

    def gather(self, seconds: float) -> None:
        """Lets so much time pass, unless it comes to its end. Nobody is woken for what comes."""
        if seconds > 0:
            self._ended.wait(seconds)

    def take_more(self) -> list[Piece]:
        """Further pieces that are there by now."""
        with suppress(Empty):
            while True:
                self._next.append(self._items.get_nowait())
        pieces: list[Piece] = []
        while self._next and isinstance(piece := self._next[0], Piece):
            pieces.append(piece)
            self._next.popleft()
        return pieces


class StreamGeneration:
    """What the reader holds (`protocol.Generation`)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        # The stream must not lead back here, else the garbage would never be collected.
        self._finish = weakref.finalize(self, stream.cancel)

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        item = self._stream.take() if self._finish.alive else None
        if isinstance(item, Piece):
            return item
        self._finish.detach()
        if item is None:
            raise StopIteration
        raise item

    def several(self, seconds: float = 0.0) -> list[Piece]:
        """The next pieces, at least one; none at the end.

        Many readers that are woken for each piece take the cores from who computes them.

        Args:
            seconds: what time pieces are given to gather in; the end cuts it short.
        """
        self._stream.gather(seconds)
        first = next(self, None)
        return [] if first is None else [first, *self._stream.take_more()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        self._finish()


class Workers:
    """The threads of one engine, each with its stream; closing ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, Stream] = {}
        self.closed = False

    def start(
        self, work: Callable[[Stream], None], on_cancel: Callable[[], None], *, num_choices: int
    ) -> Stream:
        """Runs `work` on a thread of its own.

        Raises:
            EngineError: the engine was closed.
        """
        stream = Stream(on_cancel, num_choices)
        # A daemon: at the interpreter's end the engine's finalizer cancels and joins it.
        thread = threading.Thread(target=self._run, args=(work, stream), daemon=True)
        with self._lock:
            if self.closed:
                raise EngineError(CLOSED)
            self._running[thread] = stream
            thread.start()
        return stream

    def close(self) -> None:
        with self._lock:
            self.closed = True
            running = dict(self._running)
        for stream in running.values():
            stream.cancel()
        for thread in running:
            thread.join()

    def _run(self, work: Callable[[Stream], None], stream: Stream) -> None:
        try:
            work(stream)
            stream.end()
        except EngineError as error:
            stream.end(error)
        except Exception as error:  # else the reader would wait for ever
            stream.end(EngineError(f"The engine broke off: {error}"))
        finally:
            with self._lock:
                self._running.pop(threading.current_thread(), None)
