"""Write the files beside this one: a network as `torch.onnx.export` writes it by default, and what PyTorch computes.

Weights lie in a second file, the batch of one of the example is fixed. Traces of the source, which name folders of the
machine, are left out. For another version of PyTorch: `python tests/foreign/files/write_torch_export.py`.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

HERE = Path(__file__).parent
NAME = "torch_export"


class SmallNetwork(nn.Module):
    """Two convolutions, one normalised and one grouped, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, groups=2, bias=False), nn.Hardtanh(),
        )  # fmt: skip
        self.drop = nn.Dropout()
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(torch.flatten(self.features(x), 1)))


def main() -> None:
    torch.manual_seed(0)
    module = SmallNetwork()
    for _ in range(3):  # so that its statistics are not those at the start
        module(3 * torch.randn(16, 1, 8, 8) + 1)
    module.eval()
    x = torch.randn(5, 1, 8, 8)
    with tempfile.TemporaryDirectory() as folder:
        torch.onnx.export(module, (x[:1],), Path(folder, f"{NAME}.onnx"))
        model = onnx.load(Path(folder, f"{NAME}.onnx"), load_external_data=False)
        (HERE / f"{NAME}.onnx.data").write_bytes(Path(folder, f"{NAME}.onnx.data").read_bytes())
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    (HERE / f"{NAME}.onnx").write_bytes(model.SerializeToString())
    np.savez(HERE / f"{NAME}.npz", inputs=x.numpy(), outputs=module(x).detach().numpy(), version=torch.__version__)


if __name__ == "__main__":
    main()
