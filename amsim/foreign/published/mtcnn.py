"""The three face detectors of MTCNN with their trained weights, from the package `mtcnn`."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from amsim.circuits.checks import one_of
from amsim.foreign.published.joblib_arrays import read_joblib_arrays
from amsim.foreign.published.package_file import Package

PACKAGE = Package("mtcnn", "mtcnn==1.0.0 lz4")

FaceParams = dict[str, dict[str, Array]]
"""Weights by layer: `kernel` and `bias` of `conv1`, `dense`, `face` and so on, `slope` of each `prelu`."""


class FaceOutputs(NamedTuple):
    """Outputs of a stage for each window.

    Attributes:
        face: Logits of "no face" and "face", last axis 2.
        box: Correction of the window's corners as a fraction of its size, last axis 4.
        landmarks: Two eyes, nose and two corners of the mouth, last axis 10; None but for `onet`.
    """

    face: Float[Array, "... 2"]
    box: Float[Array, "... 4"]
    landmarks: Float[Array, "... 10"] | None


@dataclass(frozen=True)
class _Pool:
    size: int
    padding: str


@dataclass(frozen=True)
class FaceNetwork:
    """One stage, `network(params, inputs)`, as Zhang et al. published it (IEEE Signal Processing Letters 23(10), 2016).

    Convolutions with PReLU and max pooling, then, for R-Net and O-Net, a dense layer; inputs are (pixel - 127.5) / 128
    of a square RGB window. P-Net is convolutional throughout and takes larger pictures as well.

    Attributes:
        name: `pnet`, `rnet` or `onet`.
        size: Edge of the window, pixels.
        pools: The pooling behind each convolution, None where there is none.
        heads: Names of the outputs in the order of the file.
        file: Path of the weights in the package.
        sha256: Of that file.
    """

    name: str
    size: int
    pools: tuple[_Pool | None, ...]
    heads: tuple[str, ...]
    file: str
    sha256: str

    @property
    def __name__(self) -> str:
        """Name of its workload."""
        return self.name

    def __call__(self, params: FaceParams, inputs: Float[ArrayLike, "batch height width 3"]) -> FaceOutputs:
        """All outputs; for P-Net, one per window position, of shape (batch, rows, columns, ...).

        Args:
            params: As `load_mtcnn` returned them.
            inputs: Windows, shape (batch, size, size, 3), scaled to -1 to 1.

        Raises:
            ValueError: Windows of another shape.
        """
        features = self._features(params, self._checked(inputs))
        found = {head: _affine(params[head], features) for head in self.heads}
        return FaceOutputs(found["face"], found["box"], found.get("landmarks"))

    def logits(self, params: FaceParams, inputs: Float[ArrayLike, "batch size size 3"]) -> Float[Array, "batch 2"]:
        """Logits of "no face" and "face" for windows of exactly `size` pixels, without the other outputs.

        Raises:
            ValueError: Windows of another size.
        """
        inputs = self._checked(inputs)
        if inputs.shape[1:3] != (self.size, self.size):
            raise ValueError(
                f"Argument `inputs` must have windows of {self.size} x {self.size}, but has {inputs.shape}."
            )
        return _affine(params["face"], self._features(params, inputs)).reshape(-1, 2)

    def score(self, params: FaceParams, inputs: Float[ArrayLike, "batch size size 3"]) -> Float[Array, " batch"]:
        """Logit of "face" minus logit of "no face": above 0, a face is more likely."""
        logits = self.logits(params, inputs)
        return logits[:, 1] - logits[:, 0]

    def _checked(self, inputs: ArrayLike) -> Array:
        inputs = jnp.asarray(inputs)
        sizes = inputs.shape[1:3]
        allowed = all(size >= self.size for size in sizes) if self.name == "pnet" else sizes == (self.size, self.size)
        if inputs.ndim != 4 or inputs.shape[3] != 3 or not allowed:
            raise ValueError(
                f"Argument `inputs` must have shape (batch, {self.size}, {self.size}, 3), but has {inputs.shape}."
            )
        return inputs

    def _features(self, params: FaceParams, x: Array) -> Array:
        for number, pool in enumerate(self.pools, 1):
            layer = params[f"conv{number}"]
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = _prelu(params[f"prelu{number}"], x + layer["bias"].reshape(1, 1, 1, -1))
            if pool is not None:
                x = _max_pool(x, pool)
        if "dense" not in params:
            return x
        # The weights come from a framework that counts columns before rows.
        x = jnp.swapaxes(x, 1, 2).reshape(len(x), -1)
        return _prelu(params["prelu_dense"], _affine(params["dense"], x))


_NETWORKS = {
    "pnet": FaceNetwork(
        "pnet", 12, (_Pool(2, "SAME"), None, None), ("box", "face"), "assets/weights/pnet.lz4",
        "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    ),
    "rnet": FaceNetwork(
        "rnet", 24, (_Pool(3, "SAME"), _Pool(3, "VALID"), None), ("box", "face"), "assets/weights/rnet.lz4",
        "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    ),
    "onet": FaceNetwork(
        "onet", 48, (_Pool(3, "SAME"), _Pool(3, "VALID"), _Pool(2, "SAME"), None), ("box", "landmarks", "face"),
        "assets/weights/onet.lz4", "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    ),
}  # fmt: skip

STAGES = tuple(_NETWORKS)
"""In the order of the cascade: each is larger than the one before and sees only the windows that it passes."""


def load_mtcnn(stage: str) -> tuple[FaceNetwork, FaceParams]:
    """A face detector with its trained weights, from the installed package `mtcnn` (MIT), which is not imported.

    The weight files are pickles; they are read as data (`read_joblib_arrays`), after their SHA-256 is found to be the
    known one.

    Args:
        stage: "pnet" (12 x 12 pixels, 6 632 parameters), "rnet" (24 x 24, 100 178) or "onet" (48 x 48, 389 040).

    Returns:
        The function `network(params, inputs)` and its parameters, for `amsim.deploy`.

    Raises:
        ImportError: The package `mtcnn` or `lz4` is not installed; the text says how to.
        ValueError: The stage is unknown, or the file is another than of version 1.0.0.
    """
    one_of("stage", stage, _NETWORKS)
    network = _NETWORKS[stage]
    arrays = iter(read_joblib_arrays(PACKAGE.read(network.file, network.sha256)))
    params: FaceParams = {}

    def affine(name: str) -> None:
        params[name] = {"kernel": jnp.asarray(next(arrays)), "bias": jnp.asarray(next(arrays))}

    for number in range(1, len(network.pools) + 1):
        affine(f"conv{number}")
        params[f"prelu{number}"] = {"slope": jnp.asarray(next(arrays)).reshape(-1)}
    if stage != "pnet":
        affine("dense")
        params["prelu_dense"] = {"slope": jnp.asarray(next(arrays))}
    for head in network.heads:
        affine(head)
    return network, params


def _affine(layer: dict[str, Array], x: Array) -> Array:
    """Dense layer; for a picture, one at each position, with two leading kernel axes of size 1."""
    kernel = layer["kernel"].reshape(layer["kernel"].shape[-2:])
    return x @ kernel + layer["bias"].reshape((1,) * (x.ndim - 1) + (-1,))


def _prelu(layer: dict[str, Array], x: Array) -> Array:
    """`x` where it is positive, `slope * x` elsewhere."""
    slope = layer["slope"].reshape((1,) * (x.ndim - 1) + (-1,))
    return jnp.where(x > 0, x, slope * x)


def _max_pool(x: Array, pool: _Pool) -> Array:
    window, strides = (1, pool.size, pool.size, 1), (1, 2, 2, 1)
    return jax.lax.reduce_window(x, np.array(-jnp.inf, x.dtype), jax.lax.max, window, strides, pool.padding)
