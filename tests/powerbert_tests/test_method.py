"""PoWER-BERT as one of the methods."""

from pathlib import Path

from transformers import AutoConfig

from paretobert.baselines.methods import METHODS
from paretobert.encoders.extraction import architecture_of
from paretobert.powerbert.options import PowerOptions
from paretobert.powerbert.training import read_retention
from paretobert.training.method import Making

from ..learnable import make_task, no_cut, save_with_head


def test_it_writes_a_network_whose_config_says_what_is_kept(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    teacher = save_with_head(tiny_checkpoint, tmp_path / "teacher", num_labels=2)
    making = Making(teacher, no_cut, make_task(), tmp_path / "made", lambda state: None)
    METHODS["powerbert"].make(making, PowerOptions(search_epochs=1, retrain_epochs=1))
    shape, config = architecture_of(AutoConfig.from_pretrained(making.network))
    assert (shape.num_layers, shape.num_heads) == (4, 4)
    assert config.tokens == read_retention(making.folder)
    assert {path.name for path in making.folder.iterdir()} == {
        *("network", "searched", "retention.json", "search.jsonl", "training.jsonl"),
    }
