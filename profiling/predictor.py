"""Predicting the latency of any sub-network from a few that were measured.

The block model follows how an encoder runs: what every network pays once, then for each kept
layer its overhead, its attention, which grows with each further head, and its feed-forward part,
which grows with each further stretch of neurons:

    t = fixed + sum over layers (layer + a * attending + f * fed
                                 + attending * sum_{k <= heads} head_k
                                 + attending^2 * heads * q + fed * sum_m stretch_m * share_m
                                 + e where word-vectors are eliminated)

`attending` and `fed` are the shares of the input's word-vectors that the layer's attention and its
feed-forward part see; both are 1 where none is eliminated. All terms are times, so none is
negative: they are fitted by non-negative least squares on relative errors, which makes a larger
network never faster. Neighbouring terms are drawn towards each other a little, because a step
between two kernels is rare and noise is not.

Its rivals are scikit-learn's: ridge regression on counts, a Gaussian process, boosted trees. All
are fitted on the same networks; the one with the smallest cross-validated error is taken, and
networks that none of them saw decide whether it may be used at all. A predictor's file holds the
measurements and the name of the model, which is fitted again when the file is read.

Latencies are modelled relative to the full model of the same rounds, which cancels what the
machine does to both.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..storage import read_json, write_json
from .conditions import Conditions, parsed
from .counts import count_encoder_parameters, count_macs
from .table import CostTable, LatencySummary, Profile

SCHEMA = 3
NUM_STRETCHES = 8
_SINGLES = 6
SMOOTHING = 0.02
NUM_FOLDS = 5
ALLOWED_NOISE_FLOORS = 2.0
ALLOWED_ERROR = 0.02

Floats = NDArray[np.float64]
Model = Callable[[Sequence[SubnetConfig]], Floats]
"""Maps sub-networks to their latencies relative to the full model's."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a prediction depends on besides the sub-network.

    Attributes:
        shape: The full model's sizes.
        seq_len: Tokens of each sequence, the mean where they differ.
    """

    shape: EncoderShape
    seq_len: int


@dataclass(frozen=True, slots=True)
class Check:
    """One held-out network.

    Attributes:
        config: The network.
        measured: Its latency.
        predicted_ms: What the predictor says.
    """

    config: SubnetConfig
    measured: LatencySummary
    predicted_ms: float

    @property
    def relative_error(self) -> float:
        """Predicted minus measured, relative to measured."""
        return self.predicted_ms / self.measured.time_ms.value - 1


@dataclass(frozen=True, slots=True)
class Validation:
    """How well a model predicts networks that it has not seen.

    Attributes:
        model: Its name.
        fold_error: Mean absolute relative error in cross-validation on the fitted networks.
        checks: The held-out networks.
    """

    model: str
    fold_error: float
    checks: tuple[Check, ...]

    @property
    def mape(self) -> float:
        """Mean absolute relative error on the held-out networks."""
        return float(np.mean([abs(check.relative_error) for check in self.checks]))

    @property
    def worst(self) -> float:
        """Largest absolute relative error on the held-out networks."""
        return max(abs(check.relative_error) for check in self.checks)

    @property
    def kendall_tau(self) -> float:
        """Rank correlation of predicted and measured latencies."""
        from scipy.stats import kendalltau

        measured = [check.measured.time_ms.value for check in self.checks]
        return float(kendalltau(measured, [c.predicted_ms for c in self.checks]).statistic)

    @property
    def noise_floor(self) -> float:
        """Mean absolute relative difference of the networks' odd and even processes.

        What measuring a second time would err by, with half the processes each time.
        """
        return float(np.mean([_repeat_error(check.measured) for check in self.checks]))

    @property
    def allowed(self) -> float:
        """The largest error on held-out networks at which a predictor may be used."""
        return ALLOWED_NOISE_FLOORS * self.noise_floor + ALLOWED_ERROR

    @property
    def usable(self) -> bool:
        """Whether the predictor may be used."""
        return self.mape <= self.allowed

    def to_dict(self) -> dict[str, Any]:
        """Return the figures and every check as JSON types."""
        return {
            "model": self.model,
            "fold_error": self.fold_error,
            "mape": self.mape,
            "worst": self.worst,
            "kendall_tau": self.kendall_tau,
            "noise_floor": self.noise_floor,
            "usable": self.usable,
            "checks": [
                {
                    "key": check.config.key,
                    "measured_ms": check.measured.time_ms.value,
                    "low_ms": check.measured.time_ms.low,
                    "high_ms": check.measured.time_ms.high,
                    "predicted_ms": check.predicted_ms,
                }
                for check in self.checks
            ],
        }


@dataclass(frozen=True, slots=True)
class PredictedLatency:
    """A latency that was not measured.

    Attributes:
        median_ms: Milliseconds per batch.
        ratio: Relative to the full model.
        error: The predictor's mean absolute relative error on held-out networks.
    """

    median_ms: float
    ratio: float
    error: float


class Predictor:
    """Predicts the latencies of one model's sub-networks under one set of conditions.

    Attributes:
        shape: The full model's sizes.
        conditions: Protocol and machine.
        fitted: The measured networks that it is fitted on, the full model first.
        held_out: The measured networks that it is judged by.
        validations: How well each model does, the chosen one first.
    """

    def __init__(
        self,
        conditions: Conditions,
        *,
        fitted: Sequence[Profile],
        held_out: Sequence[Profile],
        validations: Sequence[Validation] | None = None,
    ) -> None:
        """Fit every model and choose, or fit the chosen one again.

        Args:
            conditions: What the networks were measured under.
            fitted: Measured networks to fit on, the full model among them.
            held_out: Measured networks to judge by.
            validations: What an earlier call found, None to find out.
        """
        self.conditions = conditions
        self.fitted, self.held_out = tuple(fitted), tuple(held_out)
        full = next(profile for profile in fitted if profile.network.is_full)
        assert full.network.shape is not None
        self.shape: EncoderShape = full.network.shape
        self._full_ms = _latency(full).time_ms.value
        if validations is None:
            found = [self._validated(name) for name in MODELS]
            validations = sorted(found, key=lambda entry: entry.fold_error)
        self.validations = tuple(validations)
        self._model = self._fit(self.validations[0].model, self.fitted)

    @property
    def _setting(self) -> "Setting":
        return Setting(self.shape, self.conditions.protocol.seq_len)

    @property
    def validation(self) -> Validation:
        """How well the chosen model does."""
        return self.validations[0]

    @classmethod
    def of_table(cls, table: CostTable, *, held_out: Sequence[SubnetConfig]) -> Self:
        """Fit on a table's networks but the held-out ones, and judge by these."""
        return cls(
            table.conditions,
            fitted=[profile for profile in table if profile.network.config not in held_out],
            held_out=[profile for profile in table if profile.network.config in held_out],
        )

    def predict(self, config: SubnetConfig) -> PredictedLatency:
        """Predict a sub-network's latency.

        Raises:
            InputError: When the sub-network is not one of the model's, or the predictor is worse
                than it may be.
        """
        config.validate_for(self.shape)
        found = self.validation
        if not found.usable:
            raise InputError(
                f"The latency predictor errs by {found.mape:.1%} on held-out networks, more than "
                f"twice the noise floor ({found.noise_floor:.1%}) plus {ALLOWED_ERROR:.0%}: close "
                "other programs and build it again."
            )
        (ratio,) = self._model([config])
        return PredictedLatency(float(ratio) * self._full_ms, float(ratio), found.mape)

    def save(self, path: Path) -> None:
        """Write the measurements and the figures, atomically."""
        record = {
            "schema": SCHEMA,
            **self.conditions.to_dict(),
            "fitted": [profile.to_dict() for profile in self.fitted],
            "held_out": [profile.to_dict() for profile in self.held_out],
            "validations": [validation.to_dict() for validation in self.validations],
        }
        write_json(path, json.loads(json.dumps(record)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a predictor.

        Raises:
            InputError: When the file is missing, damaged or of another version.
        """
        if not path.is_file():
            raise InputError(f"{path} does not exist: build the predictor first.")
        record = read_json(path)
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise InputError(f"{path} is no latency predictor of this version: build it again.")
        conditions = Conditions.read(path, record)
        groups = {
            name: parsed(path, name, record.get(name), _profiles)
            for name in ("fitted", "held_out")
        }
        profiles = {_config(profile).key: profile for profile in groups["held_out"]}
        validations = parsed(
            path, "validations", record.get("validations"), partial(_validations, profiles)
        )
        return cls(conditions, **groups, validations=validations)

    def _validated(self, name: str) -> Validation:
        model = self._fit(name, self.fitted)
        predicted = model([_config(profile) for profile in self.held_out])
        checks = tuple(
            Check(_config(profile), _latency(profile), float(ratio) * self._full_ms)
            for profile, ratio in zip(self.held_out, predicted, strict=True)
        )
        return Validation(name, self._fold_error(name), checks)

    def _fold_error(self, name: str) -> float:
        errors: list[float] = []
        for fold in range(NUM_FOLDS):
            rest = [p for i, p in enumerate(self.fitted) if i % NUM_FOLDS != fold]
            out = self.fitted[fold::NUM_FOLDS]
            predicted = self._fit(name, rest)([_config(profile) for profile in out])
            errors.extend(np.abs(predicted / _ratios(out) - 1))
        return float(np.mean(errors))

    def _fit(self, name: str, profiles: Sequence[Profile]) -> Model:
        configs = [_config(profile) for profile in profiles]
        fit = MODELS[name]
        return fit(configs, _ratios(profiles), self._setting)


def _fit_blocks(configs: Sequence[SubnetConfig], ratios: Floats, setting: Setting) -> Model:
    from scipy.optimize import nnls

    features = np.array([_terms(config, setting) for config in configs])
    num_heads = setting.shape.num_heads - 1
    runs = ((_SINGLES, num_heads), (_SINGLES + num_heads, NUM_STRETCHES))
    smooth = _smoothing(features.shape[1], runs)
    relative = features / ratios[:, None]
    rows = np.vstack([relative, SMOOTHING * len(configs) * smooth])
    targets = np.concatenate([np.ones(len(configs)), np.zeros(len(smooth))])
    times, _ = nnls(rows, targets)
    return lambda asked: np.array([_terms(config, setting) for config in asked]) @ times


def _terms(config: SubnetConfig, setting: Setting) -> Floats:
    """How often each time of the block model is paid: `_SINGLES` single ones, heads, neurons."""
    shape, seq_len = setting.shape, setting.seq_len
    heads, neurons = np.array(config.heads), np.array(config.neurons)
    attending = fed = np.ones(config.num_layers)
    if config.tokens is not None:
        fed = np.array(config.tokens.kept(seq_len)) / seq_len
        attending = np.array([1.0, *fed[:-1]])
    further = np.arange(2, shape.num_heads + 1)
    edges = np.linspace(0, shape.ffn_size, NUM_STRETCHES + 1)
    shares = np.clip((neurons[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    singles = [
        1.0,
        config.num_layers,
        attending.sum(),
        fed.sum(),
        (attending**2 * heads).sum(),
        0.0 if config.tokens is None else config.num_layers,
    ]
    return np.concatenate(
        [
            singles,
            (attending[:, None] * (heads[:, None] >= further)).sum(0),
            (fed[:, None] * shares).sum(0),
        ]
    )


def _smoothing(size: int, runs: Sequence[tuple[int, int]]) -> Floats:
    """Rows that are zero where neighbouring terms of each run are equal."""
    rows = []
    for start, length in runs:
        for position in range(start, start + length - 1):
            row = np.zeros(size)
            row[position], row[position + 1] = 1.0, -1.0
            rows.append(row)
    return np.array(rows).reshape(-1, size)


def _counts(configs: Sequence[SubnetConfig], setting: Setting) -> Floats:
    """What the rivals see: multiply-adds, encoder parameters, layers, heads and neurons."""
    shape, seq_len = setting.shape, setting.seq_len
    full = SubnetConfig.full(shape)
    rows = [
        (
            count_macs(shape, config, seq_len=seq_len) / count_macs(shape, full, seq_len=seq_len),
            count_encoder_parameters(shape, config) / count_encoder_parameters(shape, full),
            config.num_layers / shape.num_layers,
            sum(config.heads) / (shape.num_heads * shape.num_layers),
            sum(config.neurons) / (shape.ffn_size * shape.num_layers),
        )
        for config in configs
    ]
    return np.array(rows)


def _fit_rival(
    make: Callable[[], Any],
    configs: Sequence[SubnetConfig],
    ratios: Floats,
    setting: Setting,
) -> Model:
    regressor = make().fit(_counts(configs, setting), ratios)
    return lambda asked: np.maximum(regressor.predict(_counts(asked, setting)), 1e-6)


def _ridge() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1e-4)


def _gaussian_process() -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, DotProduct, WhiteKernel

    kernel = DotProduct() + RBF(length_scale=1.0) + WhiteKernel(noise_level=1e-4)
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0, optimizer=None)


def _boosted_trees() -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=0)


MODELS: Mapping[str, Callable[[Sequence[SubnetConfig], Floats, Setting], Model]] = {
    "blocks": _fit_blocks,
    "ridge on counts": partial(_fit_rival, _ridge),
    "Gaussian process": partial(_fit_rival, _gaussian_process),
    "boosted trees": partial(_fit_rival, _boosted_trees),
}
"""Every model by name; each is fitted on sub-networks and their relative latencies."""


def _latency(profile: Profile) -> LatencySummary:
    if profile.latency is None:
        raise ValueError(f"{profile.network.name} has no latency to fit on")
    return profile.latency


def _config(profile: Profile) -> SubnetConfig:
    config = profile.network.config
    assert config is not None
    return config


def _ratios(profiles: Sequence[Profile]) -> Floats:
    return np.array([_latency(profile).ratio.value for profile in profiles])


def _repeat_error(latency: LatencySummary) -> float:
    logarithms = np.log(latency.process_ratios)
    return abs(float(np.expm1(logarithms[1::2].mean() - logarithms[::2].mean())))


def _profiles(records: Sequence[Mapping[str, Any]]) -> tuple[Profile, ...]:
    return tuple(map(Profile.from_dict, records))


def _validations(
    profiles: Mapping[str, Profile], records: Sequence[Mapping[str, Any]]
) -> tuple[Validation, ...]:
    return tuple(
        Validation(
            model=record["model"],
            fold_error=record["fold_error"],
            checks=tuple(
                Check(
                    _config(profiles[check["key"]]),
                    _latency(profiles[check["key"]]),
                    check["predicted_ms"],
                )
                for check in record["checks"]
            ),
        )
        for record in records
    )
