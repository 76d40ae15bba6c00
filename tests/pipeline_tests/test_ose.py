"""An extraction in a folder: what it writes, what a kill loses, what it refuses."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, BertConfig

from paretobert import LatencyProtocol, Run, TrainingOptions
from paretobert.bort import training
from paretobert.bort.architecture import Architecture, multiply_adds, parameters
from paretobert.bort.options import FRESH_RATE, RUN_RATE, ErrorOptions, SurrogateError
from paretobert.errors import InputError
from paretobert.networks.network import Network
from paretobert.pipeline.contest import Architectures, OseRequest, SubNetworks
from paretobert.pipeline.ledger import Ledger
from paretobert.pipeline.steps.ose import Extracted, extract_architecture
from paretobert.reports.figures import extraction
from paretobert.tasks.loading import TaskRequest

ERROR = ErrorOptions(steps=2, batch_size=4, examples=8, precision="fp32")


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have tests of their own, and the command's test looks for the files."""
    undrawn = SimpleNamespace(save=lambda path: None)
    monkeypatch.setattr(extraction, "extraction_figure", lambda *args, **names: undrawn)


@pytest.fixture
def few_csv(colours_csv: Path, tmp_path: Path) -> Path:
    """Every seventh of the colours' texts, of all kinds."""
    header, *rows = colours_csv.read_text().splitlines()
    path = tmp_path / "few.csv"
    path.write_text("\n".join([header, *rows[::7]]) + "\n")
    return path


@pytest.fixture
def request_of(tiny_checkpoint: Path, colours_csv: Path, tmp_path: Path) -> OseRequest:
    """Eight candidates in four sizes, the largest of which two are not trained."""
    path = tmp_path / "set.toml"
    path.write_text("D = [1, 2]\nA = [1, 2]\nH = [8]\nI = [8, 16]\n")
    return OseRequest(
        space=str(path),
        epsilon=1e-6,
        error=ERROR,
        model=str(tiny_checkpoint),
        task=TaskRequest("files", data=colours_csv, search_size=32, max_length=16),
        seq_len=16,
    )


@pytest.fixture
def texts(request_of: OseRequest, tmp_path: Path) -> OseRequest:
    """The same candidates, which learn words of a file."""
    words = ("red", "blue", "old", "small", "coat", "boat", "the", "is")
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words[:2]]
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*lines, "", *lines[:5]]) + "\n")
    error = replace(ERROR, error="mlm")
    return replace(request_of, error=error, task=None, texts=(path,))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The candidates that are really trained, in order."""
    names: list[str] = []
    build = Architectures.build

    def counted(self: Architectures, name: str) -> object:
        names.append(name)
        return build(self, name)

    monkeypatch.setattr(Architectures, "build", counted)
    return names


def ranking(found: Extracted) -> list[tuple[str, float]]:
    return [(entry.point.name, entry.value) for entry in found.extraction.ranking]


def test_an_extraction_writes_the_winner_as_transformers_and_we_load_it(
    request_of: OseRequest, tmp_path: Path
) -> None:
    found = extract_architecture(tmp_path / "ose", request_of)
    best = Architecture.from_key(found.winner.label)
    config = AutoConfig.from_pretrained(tmp_path / "ose" / "winner")
    assert isinstance(config, BertConfig)
    sizes = (config.num_hidden_layers, config.num_attention_heads)
    assert sizes == (best.layers, best.heads)
    assert (config.hidden_size, config.intermediate_size) == (best.hidden_size, best.ffn_size)
    assert set(config.id2label.values()) == {"cold", "plain", "warm"}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "ose" / "winner")
    assert len(tokenizer) == config.vocab_size
    record = json.loads((tmp_path / "ose" / "winner" / "network.json").read_text())
    assert Network.from_dict(record) == found.winner
    assert record["id"] == found.winner.id
    assert found.winner.shape is not None
    assert found.winner.shape.hidden_size == best.hidden_size


def test_the_ranking_holds_the_terms_of_real_trainings(
    request_of: OseRequest, tmp_path: Path
) -> None:
    found = extract_architecture(tmp_path / "ose", request_of)
    contest = Architectures(request_of)
    assert len(found.points) == 8
    largest = Architecture(2, 1, 8, 16)
    maximum = found.extraction.maximum
    assert maximum.params == parameters(largest, contest.tables)
    assert maximum.inference == multiply_adds(largest, seq_len=16)
    entry = next(each for each in found.extraction.ranking if each.error is not None)
    alone = training.surrogate_loss(
        contest.build(entry.point.name),
        contest.lesson,
        ERROR,
        learning_rate=request_of.rates[0],
        device=training.torch.device("cpu"),
        dtype=training.torch.float32,
    )
    assert entry.error == alone
    assert entry.value == entry.smaller * entry.faster / entry.error
    untrained = [each.point.name for each in found.extraction.ranking if each.error is None]
    assert sorted(untrained) == ["D2-A1-H8-I16", "D2-A2-H8-I16"]
    kept = json.loads((tmp_path / "ose" / "extraction.json").read_text())
    assert kept["ranking"][0]["w"] == found.extraction.winner.value
    rows = (tmp_path / "ose" / "ranking.csv").read_text().splitlines()
    assert len(rows) == 1 + len(kept["ranking"])
    assert rows[1].startswith(found.winner.label)


def test_words_of_plain_texts_are_learnt(texts: OseRequest, tmp_path: Path) -> None:
    """Blank lines and repeats are no texts; every tenth is held out; the winner predicts words."""
    contest = Architectures(texts)
    assert (len(contest.lesson.train), len(contest.lesson.held_out)) == (120, 8)
    found = extract_architecture(tmp_path / "ose", texts)
    errors = [each.error for each in found.extraction.ranking if each.error is not None]
    assert all(0 < error < 1.5 * math.log(contest.tables.vocab_size) for error in errors)
    config = AutoConfig.from_pretrained(tmp_path / "ose" / "winner")
    assert AutoModelForMaskedLM.from_config(config).config.vocab_size == contest.tables.vocab_size


def test_a_task_gives_words_too(request_of: OseRequest, tmp_path: Path) -> None:
    request = replace(request_of, error=replace(ERROR, error="mlm"))
    contest = Architectures(request)
    assert len(contest.lesson.held_out) == 8
    assert extract_architecture(tmp_path / "ose", request).extraction.winner.value > 0


def test_a_killed_extraction_goes_on_to_the_same_ranking(
    request_of: OseRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    whole = extract_architecture(tmp_path / "whole", request_of)
    every = list(trained)
    trained.clear()
    loss = training.surrogate_loss

    def killed(*args: object, **names: object) -> float:
        if len(trained) == 4:
            raise KeyboardInterrupt
        return loss(*args, **names)

    with monkeypatch.context() as patch:
        patch.setattr(training, "surrogate_loss", killed)
        with pytest.raises(KeyboardInterrupt):
            extract_architecture(tmp_path / "ose", request_of)
    assert trained == every[:4]
    assert not (tmp_path / "ose" / "extraction.json").exists()
    trained.clear()
    resumed = extract_architecture(tmp_path / "ose", request_of)
    assert trained == every[3:]
    assert ranking(resumed) == ranking(whole)
    trained.clear()
    assert ranking(extract_architecture(tmp_path / "ose", request_of)) == ranking(whole)
    assert trained == []


def test_what_was_trained_serves_other_questions(
    request_of: OseRequest, tmp_path: Path, trained: list[str]
) -> None:
    extract_architecture(tmp_path / "ose", request_of)
    trained.clear()
    coarse = extract_architecture(tmp_path / "ose", replace(request_of, epsilon=0.9))
    assert trained == []
    assert len(coarse.extraction.blocks) < 4
    more = replace(request_of, error=replace(ERROR, rates=(*request_of.rates, 1.0)))
    both = extract_architecture(tmp_path / "ose", more)
    assert len(trained) == 6
    assert {entry.theta for entry in both.extraction.ranking} <= {*more.rates, None}
    trained.clear()
    extract_architecture(tmp_path / "ose", replace(request_of, error=replace(ERROR, steps=3)))
    assert len(trained) == 6


def test_a_measured_latency_is_the_inference_cost(
    request_of: OseRequest,
    tmp_path: Path,
    measuring_here: Callable[[], AbstractContextManager[None]],
) -> None:
    request = replace(request_of, speed="latency", measure_s=0.1)
    with measuring_here():
        found = extract_architecture(tmp_path / "ose", request)
    costs = [point.size.inference for point in found.points]
    assert all(0 < cost < 1000 for cost in costs)
    again = extract_architecture(tmp_path / "ose", request)
    assert [point.size.inference for point in again.points] == costs


def test_the_sub_networks_of_a_run_start_from_its_weights(
    tiny_checkpoint: Path, few_csv: Path, tmp_path: Path
) -> None:
    """Here repaired in closed form; the errors are in the run's own ledger."""
    run = Run.create(
        tmp_path / "run",
        model=tiny_checkpoint,
        task=TaskRequest("files", data=few_csv, search_size=32, max_length=16),
        training=TrainingOptions(
            recipe="closed-form",
            widths=(1.0, 0.5),
            depths=(1.0,),
            teacher_epochs=1,
            precision="fp32",
        ),
        protocol=LatencyProtocol(seq_len=16),
    )
    run.train()
    untold = OseRequest(space=str(run.folder.root), epsilon=1e-6, error=replace(ERROR, rates=None))
    assert untold.rates == (RUN_RATE,)
    options = replace(ERROR, rates=(1e-9,))
    request = OseRequest(space=str(run.folder.root), epsilon=1e-6, error=options)
    found = extract_architecture(tmp_path / "ose", request)
    context = run.context
    every = context.subnets().values()
    assert {point.name for point in found.points} == {network.name for network in every}
    assert found.winner.is_cut
    contest = SubNetworks(request, context)
    inherited = training.held_out_loss(
        context.workshop.build(found.winner),
        contest.lesson,
        seed=0,
        device=training.torch.device("cpu"),
        dtype=training.torch.float32,
    )
    assert found.extraction.winner.error == pytest.approx(inherited, rel=1e-4)
    assert found.winner.id in context.ledger.networks()
    assert not (tmp_path / "ose" / "ledger.db").exists()
    config = AutoConfig.from_pretrained(tmp_path / "ose" / "winner")
    assert config.num_hidden_layers == found.winner.config.num_layers


def test_fresh_weights_learn_at_a_rate_of_their_own(request_of: OseRequest) -> None:
    assert replace(request_of, error=replace(ERROR, rates=None)).rates == (FRESH_RATE,)


@pytest.mark.parametrize("epsilon", [0.0, 1.5, -1.0])
def test_an_epsilon_out_of_its_range(request_of: OseRequest, epsilon: float) -> None:
    with pytest.raises(InputError, match="epsilon must be above 0"):
        replace(request_of, epsilon=epsilon)


def test_requests_that_make_no_sense(
    request_of: OseRequest, texts: OseRequest, tmp_path: Path
) -> None:
    for changes, sentence in (
        ({"model": None}, "Name the checkpoint"),
        ({"task": None}, "There is nothing to learn"),
        ({"texts": texts.texts}, "Files of texts are for the error mlm"),
        ({"speed": "flops"}, "The speed is macs or latency, not 'flops'"),
        ({"seq_len": 0}, "seq_len must be at least 1"),
        ({"seq_len": 513}, "seq_len must be at most 512"),
        ({"space": str(tmp_path)}, "is a run with a model and a task of its own"),
    ):
        with pytest.raises(InputError, match=sentence):
            replace(request_of, **changes)
    with pytest.raises(InputError, match="have no head for masked words"):
        replace(texts, space=str(tmp_path), model=None, texts=())


def test_a_refused_extraction_writes_nothing(
    request_of: OseRequest, texts: OseRequest, tmp_path: Path
) -> None:
    few = tmp_path / "two.txt"
    few.write_text("red\nblue\n\nred\n")
    empty = tmp_path / "empty.csv"
    empty.write_text("D,A,H,I\n")
    unbuildable = tmp_path / "unbuildable.csv"
    unbuildable.write_text("D,A,H,I\n1,3,8,8\n")
    for request, sentence in (
        (replace(texts, texts=(few,)), "2 different texts are too few"),
        (replace(request_of, space=str(empty)), "holds no examples"),
        (replace(request_of, space=str(unbuildable)), "among 3 heads"),
        (replace(request_of, space="bart"), "is no candidate set"),
        (replace(request_of, model="./nowhere"), "does not exist"),
        (replace(request_of, task=TaskRequest("files", data=few)), "two.txt"),
    ):
        with pytest.raises(InputError, match=sentence):
            extract_architecture(tmp_path / "ose", request)
        assert not (tmp_path / "ose").exists()


def test_the_published_set_is_meant_beside_a_folder_of_its_name(
    request_of: OseRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bort").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not replace(request_of, space="bort").is_run
    assert len(Architectures(replace(request_of, space="bort")).points()) == 300


def test_a_folder_of_something_else(request_of: OseRequest, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a folder of `paretobert ose`"):
        extract_architecture(tmp_path / "other", request_of)


def test_a_tokenizer_without_a_mask(
    texts: OseRequest, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "maskless")
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint, mask_token=None)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="has no mask, which the error mlm needs"):
        Architectures(replace(texts, model=str(folder)))


def test_errors_come_out_of_the_ledger_as_they_were(tmp_path: Path) -> None:
    with_errors = Ledger.open(tmp_path / "ledger.db", run="ose")
    for network, loss in (("a", 0.5), ("b", math.inf)):
        with_errors.add_error(network, SurrogateError(loss, 1.25), conditions="c")
    with_errors.add_error("a", SurrogateError(0.25, 2.0), conditions="other")
    assert with_errors.errors(conditions="c") == {
        "a": SurrogateError(0.5, 1.25),
        "b": SurrogateError(math.inf, 1.25),
    }
    assert with_errors.errors(conditions="nothing") == {}
    with_errors.close()
