"""The state of an interrupted training stage, in one safetensors file.

It holds the parameters, AdamW's two moments of each, the best parameters so far and the state of
the random generators, so that a stage continues to the weights it would have reached unbroken.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from .. import storage
from ..errors import InputError
from .best import Best

_MOMENTS = ("exp_avg", "exp_avg_sq")


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.AdamW,
    *,
    step: int,
    seconds: float,
    best: Best,
) -> None:
    """Write the state after `step` steps, which took `seconds`, atomically."""
    tensors = {"random": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random_cuda"] = torch.cuda.get_rng_state()
    for name, parameter in model.named_parameters():
        tensors[f"parameter.{name}"] = parameter.detach()
        for moment in _MOMENTS:
            tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]
    tensors |= {f"best.{name}": tensor for name, tensor in best.weights.items()}
    metadata = {"step": str(step), "seconds": str(seconds), "best": best.to_json()}
    storage.write_bytes(path, save(tensors, metadata))


@torch.no_grad()
def restore_state(
    path: Path, model: nn.Module, optimizer: torch.optim.AdamW
) -> tuple[int, float, Best]:
    """Load the state that `save_state` wrote into a model and its new optimizer.

    Returns:
        The number of steps done, their seconds, and the best weights so far; 0, 0 and none, and
        nothing changed, when there is no file.

    Raises:
        InputError: When the file is damaged or belongs to another model.
    """
    if not path.exists():
        return 0, 0.0, Best()
    try:
        with safe_open(path, framework="pt") as state:
            metadata = state.metadata()
            step, seconds = int(metadata["step"]), float(metadata["seconds"])
            for name, parameter in model.named_parameters():
                parameter.copy_(state.get_tensor(f"parameter.{name}"))
                moments = {m: state.get_tensor(f"{m}.{name}") for m in _MOMENTS}
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(step), device=parameter.device),
                    **{m: tensor.to(parameter.device) for m, tensor in moments.items()},
                }
            kept = [name for name in state.keys() if name.startswith("best.")]  # noqa: SIM118
            weights = {name.removeprefix("best."): state.get_tensor(name) for name in kept}
            best = Best.from_json(metadata["best"], weights)
            torch.set_rng_state(state.get_tensor("random"))
            if torch.cuda.is_available():
                torch.cuda.set_rng_state(state.get_tensor("random_cuda"))
    except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"The training state {path} is damaged or of another model ({error}): "
            "delete it to start this stage again."
        ) from None
    return step, seconds, best
