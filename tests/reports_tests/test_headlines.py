"""The front in words."""

from dataclasses import replace

from paretobert.reports.headlines import headlines, selection_sentences, sentence


def test_sentence_compares_in_pairs(content):
    full, *_, smallest = content.shown
    assert sentence(smallest, full).startswith(
        "width 0.25, 3 of 6 layers: ×0.18 latency [0.17, 0.18], ×0.59 parameters, ×0.13 FLOPs for "
        "−3.9 points of accuracy ["
    )
    assert sentence(smallest, full).endswith(", distinguishable on 872 examples.")


def test_a_tie_says_so(content):
    full, second = content.shown[:2]
    assert "for +0.0 points of accuracy [" in sentence(second, full)
    assert ", not distinguishable on 872 examples (a loss of 0.0" in sentence(second, full)
    assert sentence(second, full).endswith(" would have been seen with 80 % power).")


def test_only_the_front_without_the_full_model_cheapest_first(content):
    shown = content.networks
    texts = headlines(shown, judged=shown)
    keys = [candidate.key for candidate in shown]
    assert list(texts)[0] == keys[11]
    assert not {keys[0], keys[5]} & set(texts)


def test_latency_that_was_not_resolved_says_so(content):
    assert "(not resolved in the time given)" in sentence(content.shown[7], content.shown[0])


def test_without_latency_and_without_the_full_model(content):
    candidates = [c.timed(None) for c in content.networks[1:]]
    texts = headlines(candidates, judged=candidates)
    assert texts[candidates[10].key] == (
        "width 0.25, 3 of 6 layers: accuracy 0.8784, params 13.4M, flops 358.9M."
    )


def test_the_selection_is_told_with_what_it_flatters_most(content):
    scores = content.selection.scores
    lucky = {key: replace(score, corrected=score.plain - 0.0123) for key, score in scores.items()}
    selection = replace(content.selection, scores=lucky)
    text = selection_sentences(selection, content.candidates, reported={})
    assert text.startswith("The front was chosen from 12 networks by 3000 search examples")
    assert text.endswith(
        "flatters the accuracy of its members on these examples by up to 1.2 points."
    )


def test_what_all_networks_lose_on_report_is_told_apart(content):
    text = selection_sentences(content.selection, content.candidates, reported=content.reported)
    assert text.endswith("chosen or not, report lies −2.0 points from search.")
