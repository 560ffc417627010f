"""Modules of PyTorch against PyTorch itself, and on chips."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import amsim
from amsim import circuits


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'amsim\[torch\]'"):
        amsim.from_torch(object(), np.ones((1, 2), np.float32))


try:
    import onnxscript  # noqa: F401
    import torch
    from torch import nn
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(
    torch is None,
    reason="PyTorch is not installed: its Linux package brings some 2.5 GB of CUDA libraries (extra torch)",
)
pytestmark = pytest.mark.filterwarnings("default")  # of PyTorch about itself while it exports

if torch is not None:

    class Function(nn.Module):
        """A function of a module with named parts and its inputs."""

        def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
            super().__init__()
            self.function = function
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, *inputs: Any) -> Any:
            return self.function(self, *inputs)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.LSTM(6, 7, batch_first=True), nn.Linear(7, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(x)[0][:, -1])


def modules() -> dict[str, tuple[Any, Any, list[str]]]:
    """Modules with an example and the names of their sites."""
    torch.manual_seed(0)
    maps, rows, series = torch.randn(3, 4, 8, 8), torch.randn(3, 6), torch.randn(1, 5, 6)
    convolutions = [nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8, bias=False)]
    rest = [nn.AdaptiveAvgPool2d(1), nn.Dropout(), nn.Flatten(), nn.Linear(8, 3)]
    return {
        "layers": (nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3)), rows, ["0", "2"]),
        "pictures": (nn.Sequential(*convolutions, *rest), maps, ["0", "3", "7"]),
        "a batch of one": (nn.Sequential(nn.Conv1d(5, 4, 3, padding="same"), nn.SiLU()), series, ["0"]),
        "recurrent": (Recurrent(), series, ["layer.weight_ih_l0", "layer.weight_hh_l0", "head"]),
        "attention": (nn.TransformerEncoderLayer(6, 2, 12, batch_first=True), series, None),
        "two inputs and outputs": (
            Function(lambda self, a, b: (self.part(a) + b, a.mean(1)), part=nn.Linear(6, 6)), (rows, rows), ["part"],
        ),
        "Einstein sum": (
            Function(lambda self, x: torch.einsum("bti,oi->bto", x, self.part.weight), part=nn.Linear(6, 4)), series,
            ["part"],
        ),
        "lookup": (nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), torch.randint(0, 10, (3, 5)), ["1"]),
        "parts by place": (Function(lambda self, x: self.part(x[:, torch.tensor([0, 2])]), part=nn.Linear(2, 2)), rows,
                           ["part"]),
    }  # fmt: skip


NAMES = ("layers", "pictures", "a batch of one", "recurrent", "attention", "two inputs and outputs", "Einstein sum",
         "lookup", "parts by place")  # fmt: skip


@needs_torch
@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_itself_for_any_number_of_items(name: str) -> None:
    module, example, sites = modules()[name]
    module.train()
    network, params = amsim.from_torch(module, example)
    assert all(part.training for part in module.modules())
    module.eval()
    state = module.state_dict()
    assert set(params) <= set(state)
    for one, values in params.items():
        np.testing.assert_array_equal(values, state[one].numpy())
    assert all(one.sizes[0] is None for one in network.inputs)
    inputs = example if isinstance(example, tuple) else (example,)
    for count in (1, 2, 4):
        given = [torch.cat([one] * count)[: count + 1] for one in inputs]
        want = module(*given)
        found = network(params, *(one.numpy() for one in given))
        for right, got in zip(*(one if isinstance(one, tuple) else (one,) for one in (want, found)), strict=True):
            np.testing.assert_allclose(got, right.detach().numpy(), rtol=1e-4, atol=1e-5)
    chip = amsim.deploy(network, params, circuits.Exact())
    x = [one.numpy() for one in inputs]
    if sites is not None:
        assert [row.name for row in chip.sites(*x)] == sites
    assert not any(row.reason for row in chip.sites(*x))
    assert network.__name__ == type(module).__name__


@needs_torch
def test_arrays_as_examples_and_a_batch_that_the_module_fixes() -> None:
    part = nn.Linear(6, 2)
    module = Function(lambda self, x: self.part(x.reshape(3, 6)), part=part)
    network, params = amsim.from_torch(module, np.ones((3, 6), np.float32))
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    np.testing.assert_allclose(network(params, x), part(torch.as_tensor(x)).detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"fixes a batch of 3|Reshape"):
        network(params, x[:2])


@needs_torch
def test_later_training_of_the_module_changes_nothing() -> None:
    module, x = nn.Linear(6, 2), np.ones((2, 6), np.float32)
    network, params = amsim.from_torch(module, x)
    before = np.asarray(network(params, x))
    with torch.no_grad():
        module.weight.zero_()
    np.testing.assert_array_equal(network(params, x), before)


@needs_torch
def test_words_of_eight_bits_are_exact_on_a_macro_of_them() -> None:
    """Fake quantisation, as quantisation-aware training leaves it."""

    def quantised(self: Any, x: Any) -> Any:
        codes = torch.fake_quantize_per_tensor_affine(x, 0.05, 0, -128, 127)
        scales, zeros = torch.full((5,), 0.02), torch.zeros(5, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(self.part.weight, scales, zeros, 0, -128, 127)
        return nn.functional.linear(codes, weight)

    torch.manual_seed(0)
    module = Function(quantised, part=nn.Linear(6, 5))
    x = torch.randn(8, 6)
    network, params = amsim.from_torch(module, x)
    chip = amsim.deploy(network, params, circuits.DigitalBinary(rows=16, weight_bits=8, input_bits=8))
    assert [row.name for row in chip.sites(x.numpy())] == ["part"]
    np.testing.assert_allclose(chip(x.numpy()), module(x).detach(), rtol=1e-5, atol=1e-6)


@needs_torch
@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"x": 1}, "`example` must be a tensor, an array or a tuple"),
        ([1.0, 2.0], "`example` must be a tensor, an array or a tuple"),
        ("x", "`example` must be a tensor, an array or a tuple"),
        (None, "`example` must be a tensor, an array or a tuple"),
        ((), "`example` must be .*, but is empty"),
        (np.float32(1), r"`example` must be .*, but has shape \(\)"),
        (np.ones((0, 6), np.float32), r"`example` must be .*, but has shape \(0, 6\)"),
        ((np.ones((1, 6), np.float32), "x"), r"`example\[1\]` must be"),
        ((np.ones((1, 6), np.float32),) * 2, "`example` must be the inputs of Linear"),
        (np.ones((1, 5), np.float32), "`module` cannot be exported by PyTorch: "),
    ],
)
def test_wrong_examples(example: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"Argument {words}"):
        amsim.from_torch(nn.Linear(6, 2), example)


@needs_torch
def test_what_cannot_be_a_network() -> None:
    x = np.ones((2, 8), np.float32)
    with pytest.raises(ValueError, match=r"Argument `module` must be a torch\.nn\.Module, but is"):
        amsim.from_torch(lambda x: x, x)
    decided = Function(lambda self, x: 2 * x if x.sum() > 0 else x)
    with pytest.raises(ValueError, match=r"Argument `module` cannot be exported by PyTorch: .*data-dependent"):
        amsim.from_torch(decided, x)
    spectra = Function(lambda self, x: torch.fft.rfft(x).abs() + torch.fft.rfft(2 * x).abs())
    with pytest.raises(ValueError, match=r"operators that are not supported: DFT \(2: "):
        amsim.from_torch(spectra, x)
