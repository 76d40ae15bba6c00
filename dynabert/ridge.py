"""A linear layer corrected in closed form: ridge regression towards the weights that it has.

What the layer should add, less what it adds, is regressed on its inputs: the least
|X D - R|^2 + ridge d |D|^2, where d is the mean diagonal of X^T X. The penalty is on the change D,
not on the weights, so that where the data say nothing the inherited weights stay. Means are taken
out first, which leaves the bias unpenalised. The ridge is chosen by the error on held-out rows,
where no correction at all is one of the choices; the correction itself is then fitted with that
ridge to all rows.

Legend: N rows, I inputs, O outputs of the linear layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

RIDGES = (1e-3, 1e-2, 1e-1)
"""What is tried, relative to the mean diagonal of X^T X."""

ROWS_AT_ONCE = 4096
"""Rows whose products are summed in their own precision before they are added in float64."""

INPUTS_AT_ONCE = 256
"""Inputs whose products with all after them are computed together."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to add to a linear layer, and what it does to the error on held-out rows.

    Attributes:
        weight: [O, I]; zeros where nothing that was tried helped.
        bias: [O]; zeros likewise, and where the layer has no bias.
        ridge: What was chosen; None where nothing that was tried helped.
        error_before: Mean over the held-out rows of the squared residual, summed over outputs.
        error_after: The same with the correction that the other rows gave; never more.
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
    ridges: Sequence[float] = RIDGES,
    intercept: bool = True,
) -> Correction:
    """Choose a ridge on held-out rows, fitted to the others; then fit the correction to all rows.

    Args:
        inputs: What the layer reads, [N, I].
        residuals: What its output lacks, [N, O].
        held_out: Which rows judge, [N].
        ridges: The penalties to try.
        intercept: Whether the layer has a bias.

    Raises:
        ValueError: When no row fits, or none judges.
    """
    if held_out.all() or not held_out.any():
        raise ValueError("a correction needs rows to fit and rows to judge")
    fitting, judging = (
        _System.of(inputs[rows], residuals[rows], intercept=intercept)
        for rows in (~held_out, held_out)
    )
    judged, lacking = inputs[held_out], residuals[held_out]
    before = after = _mean_square(lacking)
    chosen = None
    for ridge in ridges:
        solution = fitting.solved(ridge)
        if solution is None:
            continue
        weight, bias, _ = solution
        error = _mean_square(lacking - judged @ weight.T.to(judged) - bias.to(judged))
        if error < after:
            chosen, after = ridge, error
    best = None if chosen is None else fitting.joined(judging).solved(chosen)
    if best is None:
        nothing = inputs.new_zeros(residuals.shape[1], inputs.shape[1])
        return Correction(nothing, nothing.sum(1), None, before, before, float("inf"))
    weight, bias, condition = best
    return Correction(
        weight.to(inputs.dtype), bias.to(inputs.dtype), chosen, before, after, condition
    )


@dataclass(frozen=True, slots=True)
class _System:
    """Normal equations of rows around their means, in float64.

    Attributes:
        gram: X^T X, [I, I].
        cross: X^T R, [I, O].
        read: The mean of X, [I]; zeros without an intercept.
        lacking: The mean of R, [O]; zeros without an intercept.
        num_rows: How many rows.
    """

    gram: Tensor
    cross: Tensor
    read: Tensor
    lacking: Tensor
    num_rows: int

    @classmethod
    def of(cls, inputs: Tensor, residuals: Tensor, *, intercept: bool) -> Self:
        """Those of inputs X [N, I] and residuals R [N, O]."""
        read, lacking = (rows.mean(0) * intercept for rows in (inputs, residuals))
        gram, cross = normal_equations(inputs - read, residuals - lacking)
        return cls(gram, cross, read.double(), lacking.double(), len(inputs))

    def joined(self, other: Self) -> Self:
        """Those of the rows of both."""
        num_rows = self.num_rows + other.num_rows
        share = other.num_rows / num_rows
        read, lacking = other.read - self.read, other.lacking - self.lacking
        apart = self.num_rows * share * read[:, None]
        return type(self)(
            self.gram + other.gram + apart * read,
            self.cross + other.cross + apart * lacking,
            self.read + share * read,
            self.lacking + share * lacking,
            num_rows,
        )

    def solved(self, ridge: float) -> tuple[Tensor, Tensor, float] | None:
        """Weight [O, I], bias [O] and a bound of the condition; None where there is no answer."""
        factor, failed = torch.linalg.cholesky_ex(loaded(self.gram, ridge))
        if failed:
            return None
        change = torch.cholesky_solve(self.cross, factor)
        return change.T.contiguous(), self.lacking - self.read @ change, _condition(factor)


def normal_equations(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """X^T X [I, I] and X^T Y [I, O] in float64, of rows [N, I] and [N, O].

    X^T X is symmetric: of its blocks those below the diagonal are not computed.
    """
    num_inputs = inputs.shape[1]
    gram = inputs.new_zeros(num_inputs, num_inputs, dtype=torch.float64)
    cross = inputs.new_zeros(num_inputs, outputs.shape[1], dtype=torch.float64)
    for x, y in zip(inputs.split(ROWS_AT_ONCE), outputs.split(ROWS_AT_ONCE), strict=True):
        for start in range(0, num_inputs, INPUTS_AT_ONCE):
            block = slice(start, start + INPUTS_AT_ONCE)
            gram[block, start:] += x[:, block].T @ x[:, start:]
        cross += x.T @ y
    return gram.triu() + gram.triu(1).T, cross


def loaded(gram: Tensor, ridge: float) -> Tensor:
    """A system with the penalty on its diagonal, relative to the diagonal's mean."""
    return gram + torch.diag_embed((ridge * gram.diagonal().mean()).expand(len(gram)))


def _mean_square(residuals: Tensor) -> float:
    return residuals.double().square().sum(1).mean().item()


def _condition(factor: Tensor) -> float:
    """A lower bound, from the diagonal of the Cholesky factor."""
    diagonal = factor.diagonal()
    return (diagonal.max() / diagonal.min()).square().item()
