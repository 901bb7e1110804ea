from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from semidbench.generator import recorded
from semidbench.generator.recorded import Recorded, recorder


def again(work: Callable[[], None]) -> Callable[[], None]:
    """A recorder for a CPU: a replay is the work itself."""
    return work


def doubled(values: torch.Tensor, more: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return values * 2, values + more


def test_a_replay_is_of_its_own_arguments() -> None:
    places: list[tuple[int, ...]] = []

    def seen(*values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places.append(tuple(value.data_ptr() for value in values))
        return doubled(*values)

    function = Recorded(seen, again)
    one, other = torch.arange(3.0), torch.ones(3)
    function(one, other)  # comes once: not recorded
    first = function(one, other)
    second = function(other, one)
    assert [value.tolist() for value in first] == [[0, 2, 4], [1, 2, 3]]
    assert [value.tolist() for value in second] == [[2, 2, 2], [1, 2, 3]]
    assert one.tolist() == [0, 1, 2]
    assert places[0] == (one.data_ptr(), other.data_ptr())
    assert len(set(places[1:])) == 1  # a graph reads at one place
    assert places[1] != places[0]


def test_each_shape_is_recorded_once_and_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_MOST", 2)
    made = []

    def record(work: Callable[[], None]) -> Callable[[], None]:
        made.append(work)
        return work

    function = Recorded(doubled, record)
    for length in (3, 4, 3, 3, 5, 4, 5, 5, 6):
        values = torch.rand(length)
        torch.testing.assert_close(function(values, values)[1], 2 * values)
    assert len(made) == 2


def test_a_cpu_records_nothing() -> None:
    assert recorder("cpu") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_a_cuda_graph_gives_what_its_function_gives() -> None:
    function = Recorded(doubled, recorded.CudaGraphs())
    for _ in range(4):
        values, more = torch.rand(2, 7, device="cuda")
        torch.testing.assert_close(function(values, more), doubled(values, more))
