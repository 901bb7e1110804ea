"""What a session hands to stages, and what determines their bits beside the stages before them.

The keys of plugins' stages cover this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semidbench.isolation.work import PluginInputs
from semidbench.store.fingerprint import library_versions

if TYPE_CHECKING:
    from semidbench.runs.shared.session import Session

# The modules that hand a plugin its data, its seed and its options.
PLUGIN_CODE = (
    *("isolation.work", "isolation.clocked_encoder", "isolation.worker"),
    *("methods.named", "runs.shared.inputs"),
)


def plugin_inputs(session: Session, seed: int) -> PluginInputs:
    """What every plugin is handed beside the stages before its own."""
    return PluginInputs(
        train_folder=session.dataset.train_folder,
        encoder=session.encoder,
        seed=seed,
        device=session.device,
        threads=session.track.threads,
        codebook_sizes=session.track.ids.codebook_sizes,
    )


def plugin_key(session: Session, seed: int) -> dict[str, Any]:
    """What determines any plugin's output beside the plugin and the stages before its own."""
    return {
        "train": session.dataset.train_sha256,
        "encoder": session.encoder.fingerprint,
        "seed": seed,
        "codebook_sizes": session.track.ids.codebook_sizes,
        **machine_key(session),
    }


def machine_key(session: Session) -> dict[str, Any]:
    """What determines bits beside the inputs."""
    return {"threads": session.track.threads, "device": session.device, "libraries": library_versions()}
