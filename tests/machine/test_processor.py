from __future__ import annotations

from pathlib import Path

import pytest

from semidbench.machine import identity, processor
from semidbench.machine.processor import Processor, products_library, read_processor

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
flags\t\t: fma avx avx2
"""


def test_the_first_processor_is_read() -> None:
    other = EPYC.replace("AMD EPYC", "other").replace("avx2", "avx2 avx512f")
    assert read_processor(f"{EPYC}\n{other}") == Processor("AMD EPYC (family 25, model 1)", "AuthenticAMD", "AVX2")


@pytest.mark.parametrize(
    ("flags", "name"),
    [("sse avx2 avx512f amx_tile", "AMX"), ("avx512f avx2", "AVX-512"), ("avx avx2", "AVX2"), ("sse", "")],
)
def test_the_widest_vector_instructions_are_named(flags: str, name: str) -> None:
    assert read_processor(f"flags : {flags}\n").instructions == name


def test_a_system_that_says_little_is_no_error() -> None:
    assert read_processor("Hardware\t: a board\n").vendor == ""
    assert products_library(read_processor("")) == "torch"


@pytest.mark.parametrize(
    ("vendor", "flags", "library"),
    [
        ("AuthenticAMD", "avx2 avx512f", "oneDNN"),  # measured: docs/reference/performance.md
        ("AuthenticAMD", "avx2", "torch"),  # measured
        ("GenuineIntel", "avx2 avx512f amx_tile", "torch"),  # measured
        ("GenuineIntel", "avx2 avx512f", "torch"),
    ],
)
def test_the_library_follows_vendor_and_instructions(vendor: str, flags: str, library: str) -> None:
    assert products_library(read_processor(f"vendor_id : {vendor}\nflags : {flags}\n")) == library


def test_a_machine_says_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Processor("one (family 26, model 2)", "AuthenticAMD", "AVX-512")
    monkeypatch.setattr(identity, "this_processor", lambda: made)
    machine = identity.this_machine()
    assert (machine.cpu, machine.products) == (made.name, "oneDNN")


def test_without_cpuinfo_the_platform_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    processor.this_processor.cache_clear()
    try:
        assert processor.this_processor().vendor == ""
    finally:
        processor.this_processor.cache_clear()
