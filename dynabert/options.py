"""How a supernet is trained, as one record (no torch)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.space import Space, SpaceName
from ..networks.spaces import SPACES
from ..networks.subnet import DEPTHS, TOKENS, WIDTHS, check_multipliers
from ..training.method import Variants
from ..training.pace import Pace, refuse_below, refuse_unless_positive

Recipe = Literal["paper", "sandwich", "closed-form"]
RECIPES: tuple[Recipe, ...] = ("paper", "sandwich", "closed-form")
Rewiring = Literal["importance", "necessity", "none"]
REWIRINGS: tuple[Rewiring, ...] = ("importance", "necessity", "none")
Start = Literal["inherited", "repaired"]
STARTS: tuple[Start, ...] = ("inherited", "repaired")
Distillation = Literal["teacher", "in-place", "none"]
DISTILLATIONS: tuple[Distillation, ...] = ("teacher", "in-place", "none")
Settings = Literal["auto", "paper"]
SETTINGS: tuple[Settings, ...] = ("auto", "paper")


MAX_RATES = 8
"""Learning rates that are tried at most."""

_TUPLES = ("widths", "depths", "tokens", "teacher_rates", "by_hand")


@dataclass(frozen=True, slots=True)
class TrainingOptions(Pace):
    """Settings of the training stages beside their pace; the defaults are the published ones.

    What a user leaves open is decided by `settings.resolved`; a record has every option.

    The weight decay is not stated there; BERT's own 0.01 is used, biases and LayerNorm excepted.

    Attributes:
        recipe: Which sub-networks learn in a step: "paper" is every one of the space (Algorithms
            2 and 3); "sandwich" is the largest, the smallest and `sandwich_random` random ones
            (Yu & Huang 2019). "closed-form" trains none: stages 1 and 2 are left out, and
            each sub-network is repaired in closed form when it is built.
        sandwich_random: Random sub-networks per step of the sandwich recipe.
        rewiring: How units are sorted before stage 1: by "importance" (section 2.1); by
            "necessity", what cannot be made up for without them (`removal`); or "none", the
            paper's ablation.
        start: The weights that stage 1 starts from: "inherited" from the fine-tuned model, or
            "repaired" in closed form so that they serve every width (`joint_repair`).
        distillation: What stages 1 and 2 learn from: the "teacher"; "in-place", the largest
            sub-network from the labels and the others from it (Yu & Huang 2019); or "none", all
            of them from the labels, the paper's ablation.
        space: The sub-networks that are trained for: "grid" is every combination of the widths,
            depths and tokens; "uniform" any heads and neurons, the same in every layer, at any
            number of layers; "layerwise" the last layer and any others, each with its own heads
            and neurons. The combinations are profiled and shown in any case.
        widths: Width multipliers.
        depths: Depth multipliers.
        tokens: Token multipliers; below 1 word-vectors are eliminated on the way through the
            layers, down to that share of the text.
        teacher_epochs: Stage 0, fine-tuning of the full model; 0 when the checkpoint given is
            already fine-tuned and serves as the teacher.
        width_epochs: Stage 1, adaptive width.
        depth_epochs: Stage 2, adaptive width and depth.
        token_epochs: The stage after these, which learns to do with fewer word-vectors; the
            recipe closed-form has none.
        final_epochs: Stage 3, fine-tuning of every sub-network on the labels; 0 leaves it out.
        teacher_learning_rate: Peak learning rate of stage 0; `learning_rate` if left out.
        teacher_rates: Learning rates that are tried for stage 0 before it, each in equally many
            steps, all of them together as many as stage 0 has at most; another one than
            `teacher_learning_rate` is taken where it is distinguishably better on the search
            split.
        augment: Variants of each training text, with other words in them, that distillation
            learns from beside it (TinyBERT, appendix A); an epoch of it is then one pass over all
            of them and the unlabelled texts. The published code takes 10 to 30.
        settings: Who decided what was not given: "auto", rules (`settings`), or "paper".
        by_hand: The fields that were given.
    """

    recipe: Recipe = "paper"
    sandwich_random: int = 2
    rewiring: Rewiring = "importance"
    start: Start = "inherited"
    distillation: Distillation = "teacher"
    space: SpaceName = "grid"
    widths: tuple[float, ...] = WIDTHS
    depths: tuple[float, ...] = DEPTHS
    tokens: tuple[float, ...] = TOKENS
    teacher_epochs: int = 3
    width_epochs: int = 3
    depth_epochs: int = 3
    token_epochs: int = 0
    final_epochs: int = 0
    teacher_learning_rate: float | None = None
    teacher_rates: tuple[float, ...] = ()
    augment: int = 0
    settings: Settings = "paper"
    by_hand: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: When one is out of its range.
        """
        Pace.__post_init__(self)
        if self.recipe not in RECIPES:
            raise InputError(f"The recipe {self.recipe!r} is not one of {', '.join(RECIPES)}.")
        if self.rewiring not in REWIRINGS:
            raise InputError(
                f"The rewiring {self.rewiring!r} is not one of {', '.join(REWIRINGS)}."
            )
        if self.start not in STARTS:
            raise InputError(f"The start {self.start!r} is not one of {', '.join(STARTS)}.")
        if self.distillation not in DISTILLATIONS:
            raise InputError(
                f"The distillation {self.distillation!r} is not one of {', '.join(DISTILLATIONS)}."
            )
        if self.settings not in SETTINGS:
            raise InputError(f"The settings {self.settings!r} are not auto or paper.")
        chosen = (self.rewiring, self.start, self.distillation)
        if self.recipe == "closed-form" and chosen != ("importance", "inherited", "teacher"):
            raise InputError(
                "The recipe closed-form sorts and repairs by itself and distils nothing: leave "
                "rewiring, start and distillation out, or take another recipe."
            )
        if self.space not in SPACES:
            raise InputError(f"The space {self.space!r} is not one of {', '.join(SPACES)}.")
        if self.space != "grid" and self.recipe == "paper":
            raise InputError(
                f"The recipe paper trains every sub-network in each step, and the space "
                f"{self.space} has too many: take the recipe sandwich."
            )
        if self.space != "grid" and self.recipe == "sandwich" and self.sandwich_random == 0:
            raise InputError(
                f"Without random sub-networks in a step the space {self.space} is never drawn "
                "from: give sandwich_random from 1 on, or take the space grid."
            )
        for name in ("widths", "depths", "tokens"):
            check_multipliers(name, getattr(self, name))
        if self.recipe == "closed-form" and (self.token_epochs or self.final_epochs):
            raise InputError(
                "The recipe closed-form trains no sub-networks: leave out the token and final "
                "epochs, or take another recipe."
            )
        if self.recipe != "closed-form" and (self.token_epochs > 0) != (min(self.tokens) < 1):
            raise InputError(
                f"The tokens {self.tokens} do not go with {self.token_epochs} token epochs: give "
                "multipliers below 1 and epochs, or neither."
            )
        refuse_below(
            self,
            0,
            "sandwich_random",
            "teacher_epochs",
            "width_epochs",
            "depth_epochs",
            "token_epochs",
            "final_epochs",
            "augment",
        )
        if self.augment and not self.distillation_epochs:
            raise InputError(
                "Augmented texts are for distillation, and no stage distils: leave them out, or "
                "take another recipe, or epochs of the width, depth or token stage."
            )
        self._check_rates()
        refuse_unless_positive(self, "teacher_learning_rate")

    def space_of(self, shape: EncoderShape) -> Space:
        """The space that is trained for, of a full model of some shape."""
        return SPACES[self.space](shape, self.widths, self.depths, self.tokens)

    def _check_rates(self) -> None:
        rates = self.teacher_rates
        if rates and not all(0 < rate < math.inf for rate in rates):
            raise InputError(f"The teacher_rates {rates} must be positive.")
        if len(set(rates)) < len(rates) or len(rates) > MAX_RATES:
            raise InputError(
                f"The teacher_rates {rates} must be different ones, {MAX_RATES} at most."
            )
        if rates and not self.teacher_epochs:
            raise InputError(
                "Learning rates are tried for stage 0, which has no epochs: leave teacher_rates "
                "out, or give teacher_epochs."
            )
        if rates and self.fine_tuning_rate not in rates:
            raise InputError(
                f"The teacher_rates {rates} lack {self.fine_tuning_rate:g}, the learning rate of "
                "stage 0, which the others are held against."
            )

    @property
    def fine_tuning_rate(self) -> float:
        """Peak learning rate of stage 0."""
        rate = self.teacher_learning_rate
        return self.learning_rate if rate is None else rate

    @property
    def may_lower_rate(self) -> bool:
        """Whether stage 0 may take a lower rate than those that were decided on."""
        given = {"learning_rate", "teacher_learning_rate", "teacher_rates"}
        return self.settings == "auto" and given.isdisjoint(self.by_hand)

    @property
    def same_width_teachers(self) -> bool:
        """Whether in stage 2 sub-networks learn from those of their width and full depth.

        So it is in the paper. Beyond the grid few have one width and stage 1 saw few of these;
        where there was no stage 1, narrow ones know nothing. Then all learn from the full model,
        whose one forward pass serves all of a step.
        """
        return self.space == "grid" and self.width_epochs > 0

    @property
    def labelled_epochs(self) -> int:
        """Those of the stages that learn from labels."""
        return self.teacher_epochs + self.final_epochs + self._elastic_epochs[0]

    @property
    def distillation_epochs(self) -> int:
        """Those of the stages that learn from a teacher; the recipe closed-form has none."""
        return self.token_epochs + self._elastic_epochs[1]

    @property
    def _elastic_epochs(self) -> tuple[int, int]:
        """Those of stages 1 and 2 that learn from labels, and from a teacher."""
        if self.recipe == "closed-form":
            return 0, 0
        epochs = self.width_epochs + self.depth_epochs
        return (0, epochs) if self.distillation == "teacher" else (epochs, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        lists = {name: list(getattr(self, name)) for name in _TUPLES}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        tuples = {name: tuple(record[name]) for name in _TUPLES if name in record}
        return cls(**{**record, **tuples})


def variants_of(options: TrainingOptions, *, checkpoint: Path, run: Path) -> Variants | None:
    """The variants of training texts that a run's supernet and students learn from.

    Args:
        options: Say how many; None of them gives None.
        checkpoint: The pre-trained model's folder.
        run: The run folder, which keeps them.
    """
    if not options.augment:
        return None
    return Variants(checkpoint, options.augment, options.seed, run / "variants")
