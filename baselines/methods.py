"""The methods that make networks beside the supernet (no torch)."""

from ..bort.method import METHOD as BORT
from ..powerbert.method import METHOD as POWERBERT
from .cofi import METHOD as COFI
from .finished import ALONE, FINISHED
from .first_layers import METHOD as FIRST_LAYERS
from .layerdrop import METHOD as LAYERDROP
from .own_checkpoint import METHOD as CHECKPOINT
from .pruned import PRUNED, REPAIRED
from .student import METHOD as STUDENT

METHODS = {
    method.name: method
    for method in (
        CHECKPOINT,
        FIRST_LAYERS,
        STUDENT,
        LAYERDROP,
        PRUNED,
        REPAIRED,
        ALONE,
        FINISHED,
        POWERBERT,
        COFI,
        BORT,
    )
}
"""Every method by name."""
