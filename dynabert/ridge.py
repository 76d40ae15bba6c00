"""A linear layer corrected in closed form: ridge regression towards the weights that it has.

What the layer should add, less what it adds, is regressed on its inputs: the least
|X D - R|^2 + ridge d |D|^2, where d is the mean diagonal of X^T X. The penalty is on the change D,
not on the weights, so that where the data say nothing the inherited weights stay. Means are taken
out first, which leaves the bias unpenalised. Rows may count differently. The ridge is chosen by
the error on held-out rows, where no correction at all is one of the choices.

Legend: N rows, I inputs, O outputs of the linear layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""What is tried, relative to the mean diagonal of X^T X."""

ROWS_AT_ONCE = 4096
"""Rows whose products are summed in their own precision before they are added in float64."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to add to a linear layer, and what it does to the error on held-out rows.

    Attributes:
        weight: [O, I]; zeros where nothing that was tried helped.
        bias: [O]; zeros likewise, and where the layer has no bias.
        ridge: What was chosen; None where nothing that was tried helped.
        error_before: Mean over the held-out rows, as they count, of the squared residual, summed
            over outputs.
        error_after: The same with the correction; never more.
        condition: The condition number of the regularised system, at least; infinite where no
            system could be solved.
    """

    weight: Tensor
    bias: Tensor
    ridge: float | None
    error_before: float
    error_after: float
    condition: float


def ridge_correction(
    inputs: Tensor,
    residuals: Tensor,
    held_out: Tensor,
    *,
    counts: Tensor | None = None,
    ridges: Sequence[float] = RIDGES,
    intercept: bool = True,
) -> Correction:
    """Fit a correction on some rows and choose its ridge on the others.

    Args:
        inputs: What the layer reads, [N, I].
        residuals: What its output lacks, [N, O].
        held_out: Which rows judge, [N].
        counts: How much each row counts, [N]; None for all alike.
        ridges: The penalties to try.
        intercept: Whether the layer has a bias.

    Raises:
        ValueError: When no row fits, or none judges.
    """
    if counts is None:
        counts = inputs.new_ones(len(inputs))
    fitting, judging = ~held_out, held_out
    if not (counts[fitting].any() and counts[judging].any()):
        raise ValueError("a correction needs rows to fit and rows to judge")
    read, lacking, share = inputs[fitting], residuals[fitting], counts[fitting]
    mean_read = mean(read, share) if intercept else torch.zeros_like(read[0])
    mean_lacking = mean(lacking, share) if intercept else torch.zeros_like(lacking[0])
    gram, cross = normal_equations(read - mean_read, lacking - mean_lacking, counts=share)
    judged, wanted, share = inputs[judging] - mean_read, residuals[judging], counts[judging]
    before = _mean_square(wanted, share)
    best = Correction(
        weight=torch.zeros_like(cross.T, dtype=inputs.dtype),
        bias=torch.zeros_like(mean_lacking),
        ridge=None,
        error_before=before,
        error_after=before,
        condition=float("inf"),
    )
    for ridge in ridges:
        factor, failed = torch.linalg.cholesky_ex(loaded(gram, ridge))
        if failed:
            continue
        change = torch.cholesky_solve(cross, factor).to(inputs.dtype)
        error = _mean_square(wanted - mean_lacking - judged @ change, share)
        if error < best.error_after:
            best = Correction(
                weight=change.T.contiguous(),
                bias=mean_lacking - mean_read @ change,
                ridge=ridge,
                error_before=before,
                error_after=error,
                condition=_condition(factor),
            )
    return best


def normal_equations(inputs: Tensor, outputs: Tensor, *, counts: Tensor) -> tuple[Tensor, Tensor]:
    """X^T C X [I, I] and X^T C Y [I, O] in float64, of rows [N, I] and [N, O] that count C [N]."""
    gram = inputs.new_zeros(inputs.shape[1], inputs.shape[1], dtype=torch.float64)
    cross = inputs.new_zeros(inputs.shape[1], outputs.shape[1], dtype=torch.float64)
    for x, y, count in zip(
        inputs.split(ROWS_AT_ONCE),
        outputs.split(ROWS_AT_ONCE),
        counts.split(ROWS_AT_ONCE),
        strict=True,
    ):
        weighted = (x * count[:, None]).T
        gram += weighted @ x
        cross += weighted @ y
    return gram, cross


def loaded(gram: Tensor, ridge: float) -> Tensor:
    """A system with the penalty on its diagonal, relative to the diagonal's mean."""
    return gram + torch.diag_embed((ridge * gram.diagonal().mean()).expand(len(gram)))


def mean(rows: Tensor, counts: Tensor) -> Tensor:
    """The mean of rows [N, I] that count [N]."""
    return counts @ rows / counts.sum()


def _mean_square(residuals: Tensor, counts: Tensor) -> float:
    squares = residuals.square().sum(1)
    return (counts.double() @ squares.double() / counts.double().sum()).item()


def _condition(factor: Tensor) -> float:
    """A lower bound, from the diagonal of the Cholesky factor."""
    diagonal = factor.diagonal()
    return (diagonal.max() / diagonal.min()).square().item()
