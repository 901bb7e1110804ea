"""A process that times a track's work beside others that do the same: its request is that of `generator`."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

from semidbench.machine.channels import GRACE, Send, channels, leave_within, reporting_failures


def main() -> None:
    """Answer one request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    requests, send = channels(lambda: leave_within(GRACE))
    with reporting_failures(send):
        _work(requests.get(), send)


def _work(request: dict[str, Any], send: Send) -> None:
    from semidbench.machine.device import held_threads
    from semidbench.runs.shared.session import open_session
    from semidbench.tracks.track import Track

    track, device, data = Track.model_validate(request["track"]), request["device"], request["data"]
    with held_threads(track.threads):
        session = None
        if request["counted"]:
            session = open_session(track, "test", data and Path(data), Path(request["store"]), device)
        send("opened")
        from semidbench.preview.generator_data import random_data, track_data, untrained_generator
        from semidbench.preview.rates.texts import missing_texts, time_texts
        from semidbench.preview.rates.timing import time_decoding, time_training, train_once

        model, text_tokens = untrained_generator(track, session)
        work = track_data(session) if session else random_data(track, text_tokens, **request["sizes"])
        train_once(model, track, work, device)
        send("ready")
        texts = time_texts(session, missing_texts(session), request["text_seconds"]) if session else {}
        send("texts", texts)
        training = time_training(model, track, work, device, request["seconds"])
        send("training", asdict(training))
        decoding = time_decoding(model, track, work, device, request["seconds"])
        send("decoding", asdict(decoding))
        send("done", sum(parameter.numel() for parameter in model.parameters()), _peak_mib(device))


def _peak_mib(device: str) -> float:
    import torch

    from semidbench.machine.memory import peak_mib

    return peak_mib() if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20
