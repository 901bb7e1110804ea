"""What a run leaves in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semidbench.machine.memory import FLOAT_BYTES
from semidbench.methods.scheme import parse_scheme
from semidbench.preview.workload import Workload
from semidbench.tracks.track import Track

_BEAM = 8  # bytes of an ID row and its score


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes in the cache. `beams` is before compression.

    `checkpoint` is what one takes while a generator trains: it is written beside the one before.
    """

    encodings: int
    embeddings: int
    generators: int
    beams: int
    checkpoint: int


def disk_of_run(track: Track, schemes: Sequence[str], seeds: int, work: Workload, parameters: int) -> Disk:
    """Views are taken to be as wide as the text encodings.

    Args:
        schemes: names of the rows.
        parameters: of a generator.
    """
    embedders = {method.name for row in schemes for method in parse_scheme(row).embedders}
    cells = len(schemes) * seeds
    table = work.items * work.encoder_dimension * FLOAT_BYTES
    return Disk(
        encodings=table,
        embeddings=len(embedders) * seeds * table,
        generators=cells * parameters * FLOAT_BYTES,
        beams=cells * work.prompts * track.decoding.beams * _BEAM,
        checkpoint=2 * 3 * parameters * FLOAT_BYTES,  # weights and two moments, the new beside the old
    )
