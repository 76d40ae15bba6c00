"""How many layers a target is."""

import pytest

from paretobert.baselines.first_layers import METHOD as FIRST_LAYERS
from paretobert.baselines.first_layers import FirstLayersOptions
from paretobert.baselines.layerdrop import LayerDropOptions
from paretobert.baselines.layers import LayersOptions
from paretobert.baselines.student import METHOD as STUDENT
from paretobert.baselines.student import StudentOptions
from paretobert.errors import InputError
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Grid
from paretobert.training.method import Known


def known(num_layers: int) -> Known:
    shape = EncoderShape("bert", num_layers, 4, 8, 32, 64, 32, 27, 64, 2, 2)
    return Known(Grid(shape), {}, lengths=tuple)


@pytest.mark.parametrize(
    ("num_layers", "target", "layers"),
    [
        (6, None, 3),
        (6, 2, 3),
        (6, 1.01, 5),
        (6, 4, 2),
        (6, 5, 1),
        (6, 99, 1),
        (12, 8, 2),
        (1, 2, 1),
    ],
)
def test_the_nearest_number_by_its_ratio(
    num_layers: int, target: float | None, layers: int
) -> None:
    options = FirstLayersOptions(target_speedup=target)
    found = FIRST_LAYERS.resolve(options, known(num_layers))
    assert found.to_dict() == FirstLayersOptions(layers=layers).to_dict()


@pytest.mark.parametrize(("layers", "counted"), [(1, "1 layer"), (2, "2 layers")])
def test_labels_count_layers(layers: int, counted: str) -> None:
    assert FirstLayersOptions(layers=layers).label == f"first {counted}"
    assert StudentOptions(layers=layers).label == f"student of {counted}"
    assert LayerDropOptions(layers=layers).label == f"LayerDrop, {counted}"


def test_what_is_named_stays() -> None:
    options = StudentOptions(layers=4, patience=1.0)
    assert STUDENT.resolve(options, known(6)) == options


def test_a_target_that_leaves_no_layer_to_be_patient_about_is_refused() -> None:
    with pytest.raises(InputError, match="A student of one layer has none before the last"):
        STUDENT.resolve(StudentOptions(target_speedup=6, patience=1.0), known(6))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": 2, "target_speedup": 3.0}, "Give a number of layers or a target speed-up"),
        ({"target_speedup": 1.0}, "The target speed-up must be above 1, not 1"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
    ],
)
def test_impossible_options_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LayersOptions(**given)
