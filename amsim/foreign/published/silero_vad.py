"""Silero's voice activity detector, from the package `silero-vad` through the ONNX reader."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from amsim.foreign.onnx_network import OnnxNetwork, load_onnx
from amsim.foreign.published.package_file import Package

PACKAGE = Package("silero_vad", "silero-vad==6.2.3")

WINDOW, CONTEXT = 512, 64
"""Samples per window at 16 kHz, and samples of the window before that are seen again."""

_STATE = 128
_FILE = ("data/silero_vad_16k_sequence.onnx", "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85")


@dataclass(frozen=True, eq=False)
class VoiceNetwork:
    """Voice activity detector `network(params, audio)`: Fourier transform, four convolutions, an LSTM, a sigmoid.

    Attributes:
        graph: The published graph.
    """

    graph: OnnxNetwork = field(repr=False)

    __name__ = "silero_vad"

    def __call__(
        self, params: dict[str, Any], audio: Float[ArrayLike, "batch samples"]
    ) -> Float[Array, "batch windows"]:
        """Probability of speech in each window of `WINDOW` samples, from an empty state.

        Args:
            params: As `load_silero_vad` returned them.
            audio: Of 16 kHz, -1 to 1. Samples beyond a whole number of windows are left out.

        Raises:
            ValueError: Audio of another shape, or shorter than a window.
        """
        audio = jnp.asarray(audio)
        if audio.ndim != 2 or audio.shape[1] < WINDOW:
            raise ValueError(
                f"Argument `audio` must have shape (batch, samples) with {WINDOW} samples or more, "
                f"but has {audio.shape}."
            )
        count = audio.shape[1] // WINDOW
        new = audio[:, : count * WINDOW].reshape(len(audio), count, WINDOW)
        # The context of the first window is silence.
        earlier = jnp.pad(new[:, :-1, -CONTEXT:], ((0, 0), (1, 0), (0, 0)))
        state = jnp.zeros((1, 1, _STATE), audio.dtype)

        def one(windows: Array) -> Array:
            return self.graph(params, windows, state, state)[0]

        return jax.vmap(one)(jnp.concatenate([earlier, new], axis=-1))


def load_silero_vad() -> tuple[VoiceNetwork, dict[str, Array]]:
    """The detector for 16 kHz with its trained weights (MIT) from the installed package, which is not imported.

    Returns:
        The function `network(params, audio)` and its parameters, for `amsim.deploy`. The Fourier transform is a
        product with a weight too (`stft.forward_basis_buffer`); a rule may leave it to another macro.

    Raises:
        ImportError: The package `silero-vad` or `onnx` is not installed; the text says how to.
        ValueError: The file is another than of version 6.2.3.
    """
    graph, params = load_onnx(PACKAGE.read(*_FILE))
    return VoiceNetwork(graph), params
