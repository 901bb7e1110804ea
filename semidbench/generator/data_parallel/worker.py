"""A process of data-parallel training. Its only request is what `launch` puts together."""

from __future__ import annotations

import os

from semidbench.errors import UserError
from semidbench.machine.channels import channels, reporting_failures


def main() -> None:
    """Train; exit 1 after a report of why not."""
    requests, send = channels(lambda: os._exit(1))
    with reporting_failures(send):
        request, rank = requests.get(), int(os.environ["RANK"])
        import torch

        from semidbench.generator.data_parallel.share import train_share
        from semidbench.machine.device import held_threads

        def progress(what: str, done: int, total: int) -> None:
            if rank == 0:
                send("progress", what, done, total)

        try:
            with held_threads(request["threads"]):
                losses = train_share(request, rank, progress)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"training ran out of memory on graphics card {rank} of {request['processes']}. End what else uses it, "
                "or give --gpus more of them"
            ) from error
        if rank == 0:
            send("trained", losses)
        return
    os._exit(1)  # without waiting for the others, which wait for this one
