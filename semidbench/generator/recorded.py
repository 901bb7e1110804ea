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

_MOST = 32  # recordings of a function: each holds its own memory
_WARM_UP = 2  # calls before a recording: libraries choose their kernels and take their memory in them


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a recording reads and writes, and what replays it."""

    arguments: Tensors
    outcomes: list[torch.Tensor]
    replay: Callable[[], None]


class Recorded:
    """A function whose work depends on the shapes of its arguments alone, and never on their values.

    Args:
        function: from tensors to tensors, all on one device.
        record: makes a recording; `cuda_graph` on a graphics card.
    """

    def __init__(self, function: Callable[..., Tensors], record: Record) -> None:
        self._function, self._record = function, record
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}

    def __call__(self, *arguments: torch.Tensor) -> Tensors:
        """What the function returns. Beyond 32 shapes it is called and not recorded."""
        shapes = tuple(argument.shape for argument in arguments)
        if shapes not in self._recordings:
            if len(self._recordings) == _MOST:
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


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """The launches of `work` as a CUDA graph. Dropout draws as if the work had been done once a replay."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    drawn = torch.cuda.get_rng_state()
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.set_rng_state(drawn)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay


def recorder(device: str) -> Record | None:
    """How a device records; None for a CPU, where launches cost little."""
    return cuda_graph if device == "cuda" else None
