"""A function of tensors that is recorded once for each shape of its arguments, and then replayed.

On a graphics card a replay is one launch, where the function itself is thousands. At small shapes launches, and not
arithmetic, are what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Tensors = tuple[torch.Tensor, ...]
Record = Callable[[Callable[[], None]], Callable[[], None]]  # from work to what does it again

_MOST = 32  # recordings of a function
_WARM_UP = 2  # calls before a recording: libraries choose their kernels and take their memory in them


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a recording reads and writes, and what replays it."""

    arguments: Tensors
    outcomes: list[torch.Tensor]
    replay: Callable[[], None]


class Recorded:
    """A function whose work depends on the shapes of its arguments alone, and never on their values.

    A shape is recorded when it comes for the second time: what comes once is not worth a recording.

    Args:
        function: from tensors to tensors, all on one device.
        record: makes a recording; a `CudaGraphs` on a graphics card.
    """

    def __init__(self, function: Callable[..., Tensors], record: Record) -> None:
        self._function, self._record = function, record
        self._seen: set[tuple[torch.Size, ...]] = set()
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}

    def __call__(self, *arguments: torch.Tensor) -> Tensors:
        """What the function returns. Beyond 32 shapes it is called and not recorded."""
        shapes = tuple(argument.shape for argument in arguments)
        if shapes not in self._recordings:
            if shapes not in self._seen or len(self._recordings) == _MOST:
                self._seen.add(shapes)
                return self._function(*arguments)
            self._recordings[shapes] = self._recorded(arguments)
        recording = self._recordings[shapes]
        for own, argument in zip(recording.arguments, arguments, strict=True):
            own.copy_(argument)
        recording.replay()
        return tuple(outcome.clone() for outcome in recording.outcomes)

    def _recorded(self, arguments: Sequence[torch.Tensor]) -> _Recording:
        own, outcomes = tuple(argument.clone() for argument in arguments), list[torch.Tensor]()

        def work() -> None:
            outcomes[:] = self._function(*own)

        return _Recording(own, outcomes, self._record(work))


class CudaGraphs:
    """Records launches as CUDA graphs, which share their memory: they are replayed one after the other."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """A replay draws its dropout as if the work had been done."""
        self._stream.wait_stream(torch.cuda.current_stream())
        drawn = torch.cuda.get_rng_state()
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP):
                work()
        torch.cuda.current_stream().wait_stream(self._stream)
        torch.cuda.set_rng_state(drawn)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


def recorder(device: str) -> Record | None:
    """How a device records; None for a CPU, where launches cost little."""
    return CudaGraphs() if device == "cuda" else None
