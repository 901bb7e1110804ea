"""A plugin that loads a heavy library when it is merely listed."""

import scipy.sparse  # noqa: F401
from broken_methods import Quantizer

from semidbench import hookimpl


@hookimpl
def semidbench_register_quantizers(register):
    register("broken-light", Quantizer)
