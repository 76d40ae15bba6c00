import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from paretobert.encoders.elimination import significance_in
from paretobert.powerbert.soft import SoftRetention, retention_loss, soft_logits

from .conftest import batch_of, tiny_model


def run(model: PreTrainedModel, retention: SoftRetention, batch: dict) -> torch.Tensor:
    with significance_in(model, diagonal=False), torch.no_grad():
        return soft_logits(model, retention, batch)


def falling(unit: str) -> SoftRetention:
    """Later ranks count less, and less still in later layers."""
    retention = SoftRetention(3, (34,), unit=unit)
    with torch.no_grad():
        for layer in range(3):
            steps = torch.linspace(1, 0, retention.vectors.shape[1]) ** (1 + layer)
            retention.vectors[layer].copy_(steps)
    return retention


@pytest.mark.parametrize("unit", ["tokens", "percent"])
def test_everything_kept_is_the_plain_model(family: str, unit: str) -> None:
    model = tiny_model(family)
    batch = batch_of(model)
    found = run(model, SoftRetention(3, (34,), unit=unit), batch)
    torch.testing.assert_close(found, model(**batch).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("unit", ["tokens", "percent"])
def test_a_batch_is_its_examples_one_by_one(family: str, unit: str) -> None:
    model = tiny_model(family)
    batch, retention = batch_of(model), falling(unit)
    together = run(model, retention, batch)
    for place, length in enumerate((9, 4, 7)):
        alone = {name: entry[place : place + 1, :length] for name, entry in batch.items()}
        one = run(model, retention, alone)
        torch.testing.assert_close(one[0], together[place], atol=1e-5, rtol=1e-4)
    plain = run(model, SoftRetention(3, (34,), unit=unit), batch)
    assert (together - plain).abs().max() > 1e-3


@given(tokens=st.lists(st.integers(0, 52), min_size=5, max_size=5))
@settings(max_examples=10, deadline=None)
def test_what_stands_in_the_padding_changes_nothing(tokens: list[int]) -> None:
    model = tiny_model()
    batch, retention = batch_of(model), falling("percent")
    other = {name: entry.clone() for name, entry in batch.items()}
    other["input_ids"][1, 4:] = torch.tensor(tokens)
    torch.testing.assert_close(run(model, retention, other), run(model, retention, batch))


def test_factors_follow_the_rank_of_the_score() -> None:
    retention = SoftRetention(1, (4,), unit="tokens")
    with torch.no_grad():
        retention.vectors.copy_(torch.tensor([[1.0, 0.7, 0.4, 0.1]]))
    score = torch.tensor([[0.1, 0.9, 0.2, 0.5], [0.3, 0.1, 0.8, 9.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    factors = retention.factors(0, score, mask)
    torch.testing.assert_close(factors[0], torch.tensor([1.0, 0.7, 0.1, 0.4]))
    torch.testing.assert_close(factors[1, :3], torch.tensor([1.0, 0.4, 0.7]))


def test_a_rank_of_a_short_text_is_the_mean_of_its_part() -> None:
    retention = SoftRetention(1, (4,), unit="percent")
    with torch.no_grad():
        retention.vectors.copy_(torch.arange(100.0)[None])
    score = torch.tensor([[0.0, 4.0, 3.0, 2.0, 1.0]])
    found = retention.factors(0, score, torch.tensor([[1, 1, 1, 1, 0]]))
    assert found[0].tolist() == [1, 37, 62, 87, 0]


@pytest.mark.parametrize("unit", ["tokens", "percent"])
@given(lengths=st.lists(st.integers(1, 230), min_size=1, max_size=4), seed=st.integers(0, 9))
@settings(deadline=None)
def test_the_mass_is_the_share_of_the_word_vectors_that_the_factors_keep(
    unit: str, lengths: list[int], seed: int
) -> None:
    """Over all texts of the task; in tokens, where masses are of one length, over equal ones."""
    if unit == "tokens":
        lengths = [lengths[0]] * len(lengths)
    retention = SoftRetention(1, lengths, unit=unit)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        retention.vectors.copy_(torch.rand(retention.vectors.shape, generator=generator))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    score = torch.rand(mask.shape, generator=generator) * mask
    kept = retention.factors(0, score, mask).sum().item()
    share = retention.masses().item() / retention.vectors.shape[1]
    assert kept == pytest.approx(share * sum(lengths), rel=1e-4)
    retention.vectors.data.fill_(1)
    torch.testing.assert_close(retention.factors(0, score, mask), mask.float())


def test_what_only_first_word_vectors_cover_is_kept_whatever_r_is() -> None:
    """An eighth of a text of eight tokens; r may fall to 0, and a text still keeps one."""
    retention = SoftRetention(2, (8, 8, 8), unit="percent")
    optimizer = torch.optim.Adam(retention.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        retention_loss(retention, 1.0).backward()
        optimizer.step()
        retention.clip()
    assert retention.vectors[:, :12].eq(1).all()
    assert retention.vectors[:, 12:].eq(0).all()
    assert retention.masses().tolist() == pytest.approx([12.5, 12.5])


def test_texts_weigh_by_their_length_in_what_is_kept() -> None:
    """Of 4 + 16 tokens two are first ones; entry 10 is one of four tokens' and none of sixteen."""
    retention = SoftRetention(1, (4, 16), unit="percent")
    retention.vectors.data.fill_(0)
    assert retention.masses().item() == pytest.approx(100 * 2 / 20)
    assert retention.first[10].item() == pytest.approx(4 / 20)
    assert retention.first[6].item() == pytest.approx((4 + 0.25 * 16) / 20)


@given(lengths=st.lists(st.integers(2, 60), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_task_and_the_penalty_weigh_an_entry_alike(lengths: list[int]) -> None:
    """Were each factor's gradient 1, their ratio would be the same at every entry."""
    retention = SoftRetention(1, lengths, unit="percent")
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    retention.factors(0, torch.rand(mask.shape) * mask, mask).sum().backward()
    task = retention.vectors.grad.clone()
    assert retention.resistance() == pytest.approx(sum(lengths) / 100, rel=1e-4)
    retention.vectors.grad = None
    retention_loss(retention, sum(lengths) / 100).backward()
    torch.testing.assert_close(retention.vectors.grad, task, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_tokens", [7, 40, 100, 230])
def test_a_text_of_any_length_trains_every_entry_past_its_first_token(num_tokens: int) -> None:
    retention = SoftRetention(1, (num_tokens,), unit="percent")
    score = torch.arange(float(num_tokens))[None]
    retention.factors(0, score, torch.ones(1, num_tokens)).sum().backward()
    trained = retention.vectors.grad[0] > 0
    assert trained[-(-100 // num_tokens) :].all()


def test_no_gradient_goes_through_the_ranking() -> None:
    score = torch.rand(1, 5, requires_grad=True)
    factors = SoftRetention(1, (5,), unit="tokens").factors(0, score, torch.ones(1, 5))
    factors.sum().backward()
    assert score.grad is None


def test_the_first_token_is_not_scaled() -> None:
    for unit in ("tokens", "percent"):
        retention = SoftRetention(1, (3, 100), unit=unit)
        retention.vectors.data.fill_(0.5)
        score = torch.tensor([[0.1, 0.9, 0.4]])
        assert retention.factors(0, score, torch.ones(1, 3))[0].tolist() == [1, 0.5, 0.5]


def test_entries_are_clipped() -> None:
    retention = SoftRetention(2, (3,), unit="tokens")
    with torch.no_grad():
        retention.vectors.copy_(torch.tensor([[0.2, -0.5, 1.5], [2.0, 0.5, 0.0]]))
    retention.clip()
    torch.testing.assert_close(
        retention.vectors.data, torch.tensor([[0.2, 0.0, 1.0], [1.0, 0.5, 0.0]])
    )


def test_left_and_right_padding_agree(family: str) -> None:
    model = tiny_model(family)
    batch, retention = batch_of(model), falling("percent")
    left = {
        key: torch.stack(
            [row.roll(9 - length) for row, length in zip(entry, (9, 4, 7), strict=True)]
        )
        for key, entry in batch.items()
    }
    assert not torch.equal(left["attention_mask"], batch["attention_mask"])
    torch.testing.assert_close(run(model, retention, left), run(model, retention, batch))


def test_the_resistance_is_the_mean_size_of_the_gradient() -> None:
    """Of entries 1 to 3: entry 0 is the first word-vector's."""
    retention = SoftRetention(1, (4,), unit="tokens")
    retention.vectors.grad = torch.tensor([[0.0, -3.0, 1.0, 2.0]])
    assert retention.resistance() == 2


def test_the_penalty_by_hand() -> None:
    """lambda * (1 * mass_1 + 2 * mass_2); its gradient is lambda * j where r matters."""
    retention = SoftRetention(2, (3,), unit="tokens")
    with torch.no_grad():
        retention.vectors[1, 0] = 0.0
        retention.vectors[1, 2] = 0.0
    loss = retention_loss(retention, 0.1)
    assert loss.item() == pytest.approx(0.1 * (1 * 3 + 2 * 2))
    loss.backward()
    gradient = torch.tensor([[0.0, 0.1, 0.1], [0.0, 0.2, 0.2]])
    torch.testing.assert_close(retention.vectors.grad, gradient)
