"""Fixtures that several packages' tests share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from .once import made_once

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

COLOURS = {
    "warm": ("red", "orange", "yellow"),
    "cold": ("blue", "green", "cyan"),
    "plain": ("black", "white", "grey"),
}
FILLERS = ("a", "the", "bright", "old", "small", "coat", "house", "boat", "is", "was")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def measuring_here() -> Callable[[], AbstractContextManager[None]]:
    """Latencies are measured in this process and briefly, memory is not: starting is slow.

    Fresh processes have tests of their own. Two of the tests' processes that measured at once
    would be pinned to the same core, so these are left to the system.
    """
    from paretobert.profiling import footprint, latency
    from paretobert.profiling.bound import bound_run
    from paretobert.profiling.fresh import FreshProcesses, Written
    from paretobert.profiling.latency import measure_rounds
    from paretobert.profiling.statistics import Process

    def measure(
        self: FreshProcesses, index: int, *, on_visit: Callable[[int, int], None] | None = None
    ) -> Process:
        runs = {}
        for name, subject in self.subjects.items():
            assert isinstance(subject, Written)
            runs[name] = bound_run(subject.folder, self.protocol)
        brief = replace(
            self.protocol,
            warmup_group=2,
            warmup_min_s=0.001,
            warmup_max_runs=2,
            visit_discards=1,
            visit_min_runs=2,
            visit_min_s=0.001,
            repeat_spread=100.0,
            invalid_spread=100.0,
            drift_tolerance=100.0,
        )
        rounds = measure_rounds(
            runs, brief, sentinel=self.sentinel, process=index, on_visit=on_visit
        )
        return Process(index, rounds, 0.0)

    def peak_bytes(folder: Path) -> int:
        return 11_000_000

    @contextmanager
    def patched() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FreshProcesses, "__call__", measure)
            patch.setattr(latency, "_pinned", lambda protocol: nullcontext())
            patch.setattr(footprint, "peak_memory", lambda **names: nullcontext(peak_bytes))
            yield

    return patched


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of benchmark data and published tables that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not present: benchmark data and published tables are optional")
    return SHARED


@pytest.fixture(scope="session")
def colours_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """450 rows that a tiny model can learn: the label is the kind of the colour in the text."""
    rows = [
        f"the {filler} {noun} is {colour},{kind}"
        for kind, colours in COLOURS.items()
        for colour in colours
        for filler in FILLERS
        for noun in FILLERS
    ][1::2]

    def make(folder: Path) -> None:
        (folder / "colours.csv").write_text("\n".join(["text,label", *rows]) + "\n")

    return made_once(tmp_path_factory, "data", make) / "colours.csv"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of four layers with a WordPiece tokenizer that knows the colours' words."""
    return made_once(tmp_path_factory, "checkpoint", write_tiny_checkpoint)


def write_tiny_checkpoint(folder: Path) -> None:
    """Write it into an empty folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = (*special, *FILLERS, *(colour for kind in COLOURS.values() for colour in kind))
    vocab = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"])
    )
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocab),
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    )
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., "PreTrainedModel"]:
    """Four layers of four heads of size 6, every parameter randomised, in eval mode."""
    from .tiny_models import make_tiny_model

    return make_tiny_model


@pytest.fixture(scope="session")
def padded_batch() -> Callable[..., "dict[str, Tensor]"]:
    """Random tokens of the given lengths, padded, with their mask."""
    from .tiny_models import make_padded_batch

    return make_padded_batch


@pytest.fixture(scope="session")
def parts_of() -> "Callable[[Module], SimpleNamespace]":
    """The linear layers of one transformer layer by their part."""
    from .tiny_models import parts_of

    return parts_of
