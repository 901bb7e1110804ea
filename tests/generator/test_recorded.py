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
    function = Recorded(doubled, again)
    one, other = torch.arange(3.0), torch.ones(3)
    first = function(one, other)
    second = function(other, one)
    assert [value.tolist() for value in first] == [[0, 2, 4], [1, 2, 3]]
    assert [value.tolist() for value in second] == [[2, 2, 2], [1, 2, 3]]
    assert one.tolist() == [0, 1, 2]


def test_each_shape_is_recorded_once_and_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_MOST", 2)
    made = []

    def record(work: Callable[[], None]) -> Callable[[], None]:
        made.append(work)
        return work

    function = Recorded(doubled, record)
    for length in (3, 4, 3, 5, 4, 5):
        values = torch.rand(length)
        torch.testing.assert_close(function(values, values)[1], 2 * values)
    assert len(made) == 2


def test_a_cpu_records_nothing() -> None:
    assert recorder("cpu") is None
    assert recorder("cuda") is recorded.cuda_graph


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_a_cuda_graph_gives_what_its_function_gives() -> None:
    function = Recorded(doubled, recorded.cuda_graph)
    for _ in range(3):
        values, more = torch.rand(2, 7, device="cuda")
        torch.testing.assert_close(function(values, more), doubled(values, more))
