import copy
import math
from dataclasses import replace

import pytest
import torch

from paretobert.dynabert import ridge
from paretobert.dynabert.halves import HALVES
from paretobert.dynabert.reconstruction import collect, divergence, repair
from paretobert.dynabert.ridge import RIDGES, ridge_correction
from paretobert.dynabert.supernet import Supernet
from paretobert.encoders.families import FAMILIES, family_of, shape_of
from paretobert.errors import InputError
from paretobert.networks.retention import Retention
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig

NARROW = SubnetConfig(layers=(0, 1, 2, 3), heads=(2, 2, 2, 2), neurons=(20, 20, 20, 20))
UNEVEN = SubnetConfig(layers=(1, 2), heads=(3, 1), neurons=(7, 30))


def states_of(family, model, reference):
    """A network's last hidden states at the sampled tokens."""
    states = []
    for batch, rows in zip(reference.batches, reference.rows, strict=True):
        hidden = family.embed(model, batch)
        mask = family.mask(model, hidden, batch)
        for layer in family.layer_list(model):
            hidden = family.feed_forward(layer, family.attend(layer, hidden, mask)[0])
        states.append(hidden.flatten(0, 1)[rows])
    return torch.cat(states)


def make_dependent(model, *, kept, seed=0):
    """Let the neurons after the first `kept` compute what those do, in other proportions."""
    torch.manual_seed(seed)
    family = family_of(model)
    for layer in family.layer_list(model):
        paths = {(axes.rows, axes.columns): axes.path for axes in family.plan.linears}
        reads = layer.get_submodule(paths["neurons", "hidden"])
        with torch.no_grad():
            copied = torch.randint(kept, (reads.out_features - kept,))
            reads.weight[kept:] = reads.weight[copied]
            reads.bias[kept:] = reads.bias[copied]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_model_stays_what_it_is(family, tiny_model, unlabelled, padded_batch):
    model, batch = tiny_model(family), padded_batch(family)
    reference = collect(model, unlabelled(family))
    repaired = repair(model, SubnetConfig.full(shape_of(model.config)), reference)
    with torch.inference_mode():
        torch.testing.assert_close(repaired.model(**batch).logits, model(**batch).logits)
    assert repaired.fits == ()


@pytest.mark.parametrize(
    ("heads", "neurons", "first"),
    [
        ((4, 4, 3, 4), (40, 40, 40, 40), (2, "attention")),
        ((4, 4, 4, 4), (40, 39, 40, 40), (1, "feed-forward")),
    ],
)
def test_nothing_is_solved_before_something_is_lacking(
    heads, neurons, first, tiny_model, unlabelled
):
    model = tiny_model("bert")
    layers = tuple(range(4))
    config = SubnetConfig(layers, heads, neurons)
    places = [
        (layer, half, part) for layer in layers for half in HALVES for part in ("reads", "writes")
    ]
    reference = collect(model, unlabelled("bert"))

    def solved(config):
        return [(fit.layer, fit.half, fit.part) for fit in repair(model, config, reference).fits]

    assert solved(config) == places[places.index((*first, "writes")) :]
    assert solved(SubnetConfig((0, 1, 3), (4,) * 3, (40,) * 3)) == places[7:8] + places[12:]
    assert solved(SubnetConfig((1, 2, 3), (4,) * 3, (40,) * 3)) == places[4:]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_repaired_network_is_nearer_to_the_full_model(family, tiny_model, unlabelled):
    model = tiny_model(family)
    reference = collect(model, unlabelled(family, number=200))
    for config in (NARROW, UNEVEN):
        with torch.inference_mode():
            full, inherited, ours = (
                states_of(family_of(model), network, reference)
                for network in (
                    model,
                    repair(model, config, reference, ridges=()).model,
                    repair(model, config, reference).model,
                )
            )
        judged = reference.held_out
        assert (ours - full)[judged].norm() < 0.8 * (inherited - full)[judged].norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_linearly_dependent_neurons_are_recovered_exactly(
    family, tiny_model, unlabelled, padded_batch
):
    model, batch = tiny_model(family).double(), padded_batch(family)
    make_dependent(model, kept=10)
    config = replace(SubnetConfig.full(shape_of(model.config)), neurons=(10,) * 4)
    reference = collect(model, unlabelled(family))
    repaired = repair(model, config, reference, ridges=(1e-12,))
    with torch.inference_mode():
        expected = model(**batch).logits
        inherited = repair(model, config, reference, ridges=()).model(**batch).logits
        found = repaired.model(**batch).logits
    assert (inherited - expected).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", [NARROW, UNEVEN])
def test_no_held_out_error_grows(config, seed, tiny_model, unlabelled):
    model = tiny_model("bert", seed=seed)
    reference = collect(model, unlabelled("bert", number=12, seed=seed), seed=seed)
    fits = repair(model, config, reference).fits
    written = [(fit.layer, fit.half) for fit in fits if fit.part == "writes"]
    assert written == [(layer, half) for layer in config.layers for half in HALVES]
    for fit in fits:
        assert fit.error_after <= fit.error_before
        assert (fit.ridge is None) == (fit.error_after == fit.error_before)


def test_a_half_reads_what_the_full_model_reads_there(tiny_model, unlabelled):
    """The states in front of a kept layer are those after other layers, affinely as near."""
    model = tiny_model("bert").double()
    family, config = family_of(model), SubnetConfig((2, 3), (4, 4), (40, 40))
    reference = collect(model, unlabelled("bert", number=300))
    repaired = repair(model, config, reference)
    (first, *_) = repaired.fits
    assert (first.layer, first.half, first.part) == (2, "attention", "reads")
    assert first.error_after < 0.9 * first.error_before
    embedded = [family.embed(model, batch) for batch in reference.batches]
    queries = [
        family.layer_list(network)[place].attention.self.query
        for network, place in ((repaired.model, 0), (model, 2))
    ]
    states = reference.sampled(embedded)
    norm = family.layer_list(model)[1].output.LayerNorm
    with torch.no_grad():
        ours, full = queries[0](states), queries[1](norm(reference.sums[1]["feed-forward"]))
        inherited = queries[1](states)
    assert (ours - full).norm() < 0.95 * (inherited - full).norm()


def test_a_kept_layer_stands_for_the_dropped_ones_behind_it(tiny_model, unlabelled):
    """Its feed-forward network meets the state after the last of these, and its normalisation."""
    model = tiny_model("bert")
    reference = collect(model, unlabelled("bert", number=300))
    config = SubnetConfig(layers=(0, 3), heads=(4, 4), neurons=(40, 40))
    repaired = repair(model, config, reference)
    layer = repaired.model.get_submodule("bert.encoder.layer.0.output.LayerNorm")
    passed = model.get_submodule("bert.encoder.layer.2.output.LayerNorm")
    assert torch.equal(layer.weight, passed.weight)
    assert torch.equal(layer.bias, passed.bias)
    after = repaired.fits[0]
    assert (after.layer, after.half, after.part) == (0, "feed-forward", "writes")
    assert after.error_after < 0.7 * after.error_before


def test_held_out_texts_alone_judge(tiny_model, unlabelled):
    encoded = unlabelled("bert", number=100)
    reference = collect(tiny_model("bert"), encoded, max_tokens=300, held_out=0.3)
    sizes = [len(batch["input_ids"]) for batch in reference.judging]
    assert sum(sizes) == 30
    assert min(sizes) > 0
    whole = {tuple(row.tolist()) for batch in reference.batches for row in batch["input_ids"]}
    judging = [tuple(row.tolist()) for batch in reference.judging for row in batch["input_ids"]]
    assert whole.issuperset(judging)


def test_divergence_is_the_share_of_the_logits_variance_that_is_wrong(tiny_model, unlabelled):
    model, encoded = tiny_model("bert"), unlabelled("bert", number=100)
    reference = collect(model, encoded, max_tokens=300, held_out=0.3)
    assert divergence(model, copy.deepcopy(model), reference) == 0
    constant = copy.deepcopy(model)
    constant.classifier.weight.data.zero_()
    assert divergence(model, constant, reference) > 0.9
    shifted = copy.deepcopy(model)
    shifted.classifier.bias.data += 1
    assert divergence(model, shifted, reference) == pytest.approx(0, abs=1e-10)
    found = [
        divergence(model, repair(model, NARROW, reference, ridges=ridges).model, reference)
        for ridges in (RIDGES, ())
    ]
    assert found[0] < found[1]


def test_padding_does_not_matter(tiny_model, unlabelled):
    model = tiny_model("bert").double()
    encoded = unlabelled("bert", number=40)
    reference = collect(model, encoded)
    wider = tuple(
        {name: torch.nn.functional.pad(entry, (0, 5)) for name, entry in batch.items()}
        for batch in reference.batches
    )
    widths = [batch["input_ids"].shape[1] for batch in reference.batches]
    moved = replace(
        reference,
        batches=wider,
        rows=tuple(
            rows // width * (width + 5) + rows % width
            for rows, width in zip(reference.rows, widths, strict=True)
        ),
    )
    first, second = (repair(model, NARROW, known).model for known in (reference, moved))
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], tensor, rtol=1e-6, atol=1e-8)
    present = sum(int(batch["attention_mask"].sum()) for batch in reference.batches)
    assert sum(map(len, reference.rows)) == present == sum(encoded.lengths)


def test_repairing_is_deterministic_and_leaves_the_model_alone(tiny_model, unlabelled):
    model, encoded = tiny_model("roberta"), unlabelled("roberta")
    before = copy.deepcopy(model.state_dict())
    first = repair(model, UNEVEN, collect(model, encoded, seed=3))
    second = repair(model, UNEVEN, collect(model, encoded, seed=3))
    assert first.fits == second.fits
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_tokens_beyond_the_cap_are_left_out(tiny_model, unlabelled):
    model, encoded = tiny_model("bert"), unlabelled("bert", number=200)
    reference = collect(model, encoded, max_tokens=300)
    assert 350 < len(reference.held_out) < 550
    for batch, rows in zip(reference.batches, reference.rows, strict=True):
        width = batch["input_ids"].shape[1]
        assert (rows % width == 0).sum() == len(batch["input_ids"])
    assert all(len(states) == len(reference.held_out) for states in reference.sums[0].values())
    assert 0 < reference.held_out.float().mean() < 0.4


def test_a_supernets_model_is_repaired_as_the_stock_one(tiny_model, unlabelled):
    model, encoded = tiny_model("bert"), unlabelled("bert")
    stock = repair(model, NARROW, collect(model, encoded)).model.state_dict()
    supernet = Supernet(copy.deepcopy(model), Grid(shape_of(model.config)))
    elastic = repair(supernet.model, NARROW, collect(supernet.model, encoded)).model.state_dict()
    for name, tensor in stock.items():
        torch.testing.assert_close(elastic[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_network_that_eliminates_word_vectors_gets_the_weights_of_the_one_that_does_not(
    tiny_model, unlabelled, padded_batch
):
    model = tiny_model("bert")
    reference = collect(model, unlabelled("bert"))
    fewer = repair(model, replace(UNEVEN, tokens=Retention((50, 1), "percent")), reference).model
    for name, tensor in repair(model, UNEVEN, reference).model.state_dict().items():
        assert torch.equal(fewer.state_dict()[name], tensor)
    assert fewer.config.subnet_tokens == [50, 1]


def test_too_few_texts_are_refused(tiny_model, unlabelled):
    with pytest.raises(InputError, match="1 texts of which 1 judge leave none"):
        collect(tiny_model("bert"), unlabelled("bert", number=1))


def test_regression_has_nothing_of_its_own(tiny_model, unlabelled, padded_batch):
    model = tiny_model("bert")
    model.config.num_labels, model.num_labels = 1, 1
    model.classifier = torch.nn.Linear(24, 1)
    repaired = repair(model, NARROW, collect(model, unlabelled("bert"))).model
    assert repaired(**padded_batch("bert")).logits.shape == (3, 1)
    assert torch.equal(repaired.classifier.weight, model.classifier.weight)


def test_a_correction_is_the_least_of_the_penalised_squares():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 4, dtype=torch.float64, generator=generator)
    residuals = torch.randn(50, 3, dtype=torch.float64, generator=generator) + inputs[:, :3]
    held_out = torch.arange(50) % 5 == 0
    found = ridge_correction(inputs, residuals, held_out, ridges=(0.1,))
    penalty = 0.1 * (inputs - inputs.mean(0)).square().sum() / 4

    def loss(weight, bias):
        errors = (inputs @ weight.T + bias - residuals).square().sum()
        return errors + penalty * weight.square().sum()

    weight, bias = found.weight.clone(), found.bias.clone()
    slopes = torch.func.grad(loss, argnums=(0, 1))(weight, bias)
    for slope in slopes:
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-9)


def test_blocks_of_inputs_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    outputs = torch.randn(50, 2, generator=generator)
    monkeypatch.setattr(ridge, "INPUTS_AT_ONCE", 3)
    monkeypatch.setattr(ridge, "ROWS_AT_ONCE", 20)
    gram, cross = ridge.normal_equations(inputs, outputs)
    torch.testing.assert_close(gram.float(), inputs.T @ inputs)
    torch.testing.assert_close(cross.float(), inputs.T @ outputs)


def test_held_out_rows_choose_the_ridge_and_are_fitted_too():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 20, dtype=torch.float64, generator=generator)
    residuals = inputs[:, :2] + torch.randn(60, 2, dtype=torch.float64, generator=generator)
    held_out = torch.arange(60) % 3 == 0
    found = ridge_correction(inputs, residuals, held_out, ridges=(1e-3, 1, 1e3))
    others = [
        ridge_correction(inputs, residuals, held_out, ridges=(each,)) for each in (1e-3, 1, 1e3)
    ]
    best = min(others, key=lambda correction: correction.error_after)
    assert (found.ridge, found.error_after) == (best.ridge, best.error_after)
    assert torch.equal(found.weight, best.weight)
    elsewhere = ridge_correction(inputs, residuals, held_out.roll(1), ridges=(found.ridge,))
    torch.testing.assert_close(elsewhere.weight, found.weight)


def test_without_a_bias_there_is_none():
    inputs = torch.ones(10, 2) + torch.eye(10, 2)
    found = ridge_correction(
        inputs, torch.ones(10, 1), torch.arange(10) > 7, ridges=(0.1,), intercept=False
    )
    assert found.bias.tolist() == [0.0]
    assert found.weight.count_nonzero() == 2


@pytest.mark.parametrize(
    "inputs",
    [torch.zeros(20, 3), torch.ones(20, 3), torch.full((20, 3), math.inf)],
    ids=["zeros", "constant", "infinite"],
)
def test_nothing_is_changed_where_nothing_can_be_learnt(inputs):
    residuals = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    residuals -= residuals.mean(0)
    found = ridge_correction(inputs, residuals, torch.arange(20) < 10, ridges=RIDGES)
    assert found.weight.count_nonzero() == 0
    assert found.ridge is None
    assert found.error_after == found.error_before
    assert found.condition == math.inf


def test_fewer_rows_than_inputs_are_no_error():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 40, generator=generator)
    found = ridge_correction(inputs, inputs[:, :2], torch.arange(12) < 3)
    assert found.error_after < found.error_before
    assert math.isfinite(found.condition)


def test_a_correction_needs_rows_on_both_sides():
    for held_out in (torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)):
        with pytest.raises(ValueError, match="rows to fit and rows to judge"):
            ridge_correction(torch.ones(4, 1), torch.ones(4, 1), held_out)
