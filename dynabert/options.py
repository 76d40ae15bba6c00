"""How a supernet is trained, as one record (no torch)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from ..errors import InputError
from ..networks.subnet import DEPTHS, TOKENS, WIDTHS, check_multipliers
from ..training.method import Variants
from ..training.pace import Pace, refuse_below, refuse_unless_positive

Recipe = Literal["paper", "sandwich", "closed-form"]
RECIPES: tuple[Recipe, ...] = ("paper", "sandwich", "closed-form")
Rewiring = Literal["importance", "none"]
REWIRINGS: tuple[Rewiring, ...] = ("importance", "none")
Distillation = Literal["teacher", "in-place", "none"]
DISTILLATIONS: tuple[Distillation, ...] = ("teacher", "in-place", "none")


@dataclass(frozen=True, slots=True)
class TrainingOptions(Pace):
    """Settings of the training stages beside their pace; the defaults are the published ones.

    The weight decay is not stated there; BERT's own 0.01 is used, biases and LayerNorm excepted.

    Attributes:
        recipe: Which sub-networks learn in a step: "paper" is every one of the space (Algorithms
            2 and 3); "sandwich" is the largest, the smallest and `sandwich_random` random ones
            (Yu & Huang 2019). "closed-form" trains none: stages 1 and 2 are left out, and each
            sub-network is repaired in closed form when it is built.
        sandwich_random: Random sub-networks per step of the sandwich recipe.
        rewiring: How units are sorted before stage 1: by "importance" (section 2.1), or "none",
            the paper's ablation.
        distillation: What stages 1 and 2 learn from: the "teacher"; "in-place", the largest
            sub-network from the labels and the others from it (Yu & Huang 2019); or "none", all
            of them from the labels, the paper's ablation.
        widths: Width multipliers.
        depths: Depth multipliers.
        tokens: Token multipliers; below 1 word-vectors are eliminated on the way through the
            layers, down to that share of the text.
        teacher_epochs: Stage 0, fine-tuning of the full model; 0 when the checkpoint given is
            already fine-tuned and serves as the teacher.
        width_epochs: Stage 1, adaptive width.
        depth_epochs: Stage 2, adaptive width and depth.
        token_epochs: The stage after these that learns to do with fewer word-vectors.
        final_epochs: Stage 3, fine-tuning of every sub-network on the labels; 0 leaves it out.
        teacher_learning_rate: The same for stage 0; None for `learning_rate`.
        augment: Variants of each training text, with other words in them, that distillation
            learns from beside it (TinyBERT, appendix A); an epoch of it is then one pass over all
            of them and the unlabelled texts. The published code takes 10 to 30.
    """

    recipe: Recipe = "paper"
    sandwich_random: int = 2
    rewiring: Rewiring = "importance"
    distillation: Distillation = "teacher"
    widths: tuple[float, ...] = WIDTHS
    depths: tuple[float, ...] = DEPTHS
    tokens: tuple[float, ...] = TOKENS
    teacher_epochs: int = 3
    width_epochs: int = 3
    depth_epochs: int = 3
    token_epochs: int = 0
    final_epochs: int = 0
    teacher_learning_rate: float | None = None
    augment: int = 0

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
        if self.distillation not in DISTILLATIONS:
            raise InputError(
                f"The distillation {self.distillation!r} is not one of {', '.join(DISTILLATIONS)}."
            )
        if self.recipe == "closed-form" and (self.rewiring, self.distillation) != (
            "importance",
            "teacher",
        ):
            raise InputError(
                "The recipe closed-form sorts units by itself and distils nothing: leave rewiring "
                "and distillation out, or take another recipe."
            )
        for name in ("widths", "depths", "tokens"):
            check_multipliers(name, getattr(self, name))
        if (self.token_epochs > 0) != (min(self.tokens) < 1):
            raise InputError(
                f"The tokens {self.tokens} do not go with {self.token_epochs} token epochs: give "
                "multipliers below 1 and epochs, or neither."
            )
        if self.recipe == "closed-form" and (self.token_epochs or self.final_epochs):
            raise InputError(
                "The recipe closed-form trains no sub-networks: leave out the token and final "
                "epochs, or take another recipe."
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
        refuse_unless_positive(self, "teacher_learning_rate")

    @property
    def fine_tuning_rate(self) -> float:
        """Peak learning rate of stage 0."""
        rate = self.teacher_learning_rate
        return self.learning_rate if rate is None else rate

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
        lists = {name: list(getattr(self, name)) for name in ("widths", "depths", "tokens")}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        tuples = {name: tuple(record[name]) for name in ("widths", "depths", "tokens")}
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
