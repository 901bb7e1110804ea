"""`torch_scope`, the one thing that the public API does rather than describes."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from semidbench.api import Context, torch_scope
from semidbench.testing import context

Generators = tuple[object, ...]


@pytest.fixture
def made(tmp_path: Path) -> Context:
    """Another seed and another number of threads than the process has."""
    return replace(context(tmp_path, seed=7), threads=torch.get_num_threads() + 1)


def process_state() -> tuple[Generators, int]:
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    assert isinstance(numpy, dict)
    numpy_state = numpy["state"]["key"].tolist(), numpy["state"]["pos"], numpy["has_gauss"], numpy["gauss"]
    return (random.getstate(), numpy_state, torch.get_rng_state().tolist()), torch.get_num_threads()


def draw_from_all() -> None:
    random.random(), np.random.standard_normal(), torch.rand(1)  # noqa: NPY002


def test_draws_are_the_seed_s_whatever_was_drawn_before(made: Context) -> None:
    expected = torch.rand(4, generator=torch.Generator().manual_seed(7))
    for _ in range(2):
        draw_from_all()
        with torch_scope(made):
            assert torch.equal(torch.rand(4), expected)
    with torch_scope(replace(made, seed=8)):
        assert not torch.equal(torch.rand(4), expected)


def test_torch_has_the_threads_of_the_context(made: Context) -> None:
    with torch_scope(made):
        assert torch.get_num_threads() == made.threads


def test_python_s_and_numpy_s_generators_are_not_seeded(made: Context) -> None:
    before = process_state()[0][:2]
    with torch_scope(made):
        assert process_state()[0][:2] == before


@pytest.mark.parametrize("fails", [False, True])
def test_the_process_is_left_as_it_was(made: Context, fails: bool) -> None:
    """Whatever a library seeds and draws, and where it raises."""
    before = process_state()
    try:
        with torch_scope(made):
            draw_from_all()
            random.seed(1), np.random.seed(1), torch.manual_seed(1)  # type: ignore[func-returns-value]  # noqa: NPY002
            torch.set_num_threads(made.threads + 1)
            draw_from_all()
            assert all(now != then for now, then in zip(process_state()[0], before[0], strict=True))
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert process_state() == before


def test_importing_the_api_imports_no_torch() -> None:
    code = "import semidbench.api, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
