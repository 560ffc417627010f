"""Laws of a CMOS process: energy, delay, area and leakage against node, supply and temperature."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import enforced, one_of, truth_values
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.technology import nodes
from amsim.noise.checks import real
from amsim.noise.switching import LEAKAGE_TEMPERATURE, REFERENCE_TEMPERATURE, leakage_growth

REFERENCE_SUPPLY = 0.9
"""V at which energies and delays of the 28 nm reference are stated (facts 7.3)."""

REFERENCE_NODE = "28nm"
"""Node at which gates and parts are stated."""

LEAKAGE_SUPPLY = 0.8
"""V at which leakage currents are stated (facts 7.4)."""


def _energy_at(coefficients: tuple[float, float, float], supply: Any) -> Any:
    a, b, c = coefficients
    return (a * supply + b) * supply + c


def _delay_at(constant: Any, threshold: Any, alpha: Any, supply: Any) -> Any:
    return constant * supply / (supply - threshold) ** alpha


_REFERENCE_ENERGY = _energy_at(nodes.energy_coefficients(REFERENCE_NODE, nodes.VARIANTS[0]), REFERENCE_SUPPLY)
_REFERENCE_DELAY = _delay_at(*nodes.fit(REFERENCE_NODE, nodes.VARIANTS[0]).delay, REFERENCE_SUPPLY)


def _node_name(value: Any) -> str:
    """Name of a node, such as `"28nm"`, from itself, from `"28 nm"` or from a feature size of 28e-9 m."""
    if isinstance(value, float | np.floating) and 1e-9 < value < 1e-6:
        return f"{round(float(value) * 1e9)}nm"
    return value.replace(" ", "") if isinstance(value, str) else str(value)


class Process(eqx.Module):
    r"""Energy, delay, area and leakage of logic against node, supply and temperature, relative to 28 nm.

    Energy of one event: `E = a V^2 + b V + c`. Delay of a gate: `t = K (T / 300 K)^m V / (V - V_T(T))^alpha` with
    `V_T(T) = V_T - slope (T - 300 K)`: mobility slows a hot gate, the threshold speeds it up and prevails at low
    supply. Leakage current: `I = I_0 10^(drain_lowering (V - 0.8 V) / swing) exp((T - 300 K) / T_e)`.

    Range of validity: `energy_window` and `delay_window`; outside, methods raise unless `extrapolate` is set, and
    `extrapolated(supply)` is true. Energy: where the charge of an event `E / V` does not rise as the supply falls (at
    180 nm: where energy falls no faster than the cube), up to about 20 % above nominal (assumed). Delay: from 0.5 V
    (180 nm: 0.8 V); V_T and alpha (at most 2) were fitted to the source's cubics where these fall with supply: within
    11 % at 180-65 nm and at 20-7 nm; from 0.6 V within 26 % at 45-32 nm, 15 % at 28 nm (low-power 37 %), 10 % at 22 nm;
    below 0.6 V up to 56 % at 45-22 nm. Leakage: 230 to 400 K; it is independent of the node, so give the current of a
    gate or cell of that node. 40, 28 and 22 nm are not in the source but interpolated linearly in feature size (28 nm:
    2/3 of 32 nm and 1/3 of 20 nm). From 32 to 20 nm the source goes from planar to multi-gate transistors: above 0.85 V
    its 20 nm (high-performance) is no faster than its 32 nm.

    Source: Stillmaker & Baas, Integration 58 (2017), by the public nodeScale tables (facts 7.2); alpha-power law
    (facts 7.6); temperature and leakage (facts 7.4, 8).

    Attributes:
        node: One of 180nm, 130nm, 90nm, 65nm, 45nm, 40nm, 32nm, 28nm, 22nm, 20nm, 16nm, 14nm, 10nm, 7nm, or the feature
            size in m (static). Default 28nm.
        variant: "high-performance" or "low-power" transistors (static).
        extrapolate: Whether supplies outside the windows are allowed (static): energy then follows the square of the
            supply from the edge of the window, delay its own law.
        threshold: V_T of the delay law at 300 K, V; K is unchanged. Default (None): fitted.
        alpha: Exponent of the delay law, 1. Default (None): fitted.
        threshold_slope: Fall of the threshold with temperature, V/K. Default 0.8 mV/K (facts 8: 0.6-1).
        mobility_exponent: m, 1. Default 1.5 (facts 8).
        drain_lowering: Threshold shift per volt of supply, 1. Default 0.1 (assumed, 0.05-0.15).
        swing: Subthreshold slope, V per decade. Default 85 mV (facts 8: 80-95 mV at 25 C).
        leakage_scale: T_e, K. Default 14 K: the current doubles every 9.7 K (facts 8).

    Raises:
        ValueError: An unknown node or variant, or a quantity out of range.
    """

    node: str = eqx.field(static=True, converter=_node_name, default=REFERENCE_NODE)
    variant: str = eqx.field(static=True, default=nodes.VARIANTS[0])
    extrapolate: bool = eqx.field(static=True, default=False)
    threshold: Quantity | None = quantity("threshold", unit="V", symbol="V_T", optional=True)
    alpha: Quantity | None = quantity("alpha", unit="1", symbol="alpha", positive=True, optional=True)
    threshold_slope: Quantity = quantity("threshold_slope", unit="V/K", default=0.8e-3)
    mobility_exponent: Quantity = quantity("mobility_exponent", unit="1", symbol="m", default=1.5)
    drain_lowering: Quantity = quantity("drain_lowering", unit="1", symbol="eta", default=0.1)
    swing: Quantity = quantity("swing", unit="V", symbol="S", positive=True, default=85e-3)
    leakage_scale: Quantity = quantity(
        "leakage_scale", unit="K", symbol="T_e", positive=True, default=LEAKAGE_TEMPERATURE
    )

    def __check_init__(self) -> None:
        """Check node and variant."""
        one_of("node", self.node, nodes.HIGH_PERFORMANCE)
        one_of("variant", self.variant, nodes.VARIANTS)
        truth_values(extrapolate=self.extrapolate)

    @property
    def feature_size(self) -> float:
        """Feature size in the name of the node, m."""
        return nodes.feature_size(self.node)

    @property
    def interpolated(self) -> bool:
        """Whether the source does not have this node, which is then interpolated between two others."""
        return self.node in nodes.INTERPOLATED

    @property
    def nominal_supply(self) -> float:
        """Nominal supply of the high-performance variant, V (recalled)."""
        return sum(weight * nodes.NODES[part].nominal for part, weight in nodes.parts(self.node))

    @property
    def energy_window(self) -> tuple[float, float]:
        """Lowest and highest supply of the energy fit, V."""
        return nodes.fit(self.node, self.variant).lowest, self._highest

    @property
    def delay_window(self) -> tuple[float, float]:
        """Lowest and highest supply of the delay law, V."""
        return nodes.LOWEST_DELAY_SUPPLY.get(self.node, 0.5), self._highest

    @property
    def delay_law(self) -> tuple[Any, Any, Any]:
        """K (in the source's own unit), V_T (V) and alpha of the delay law at 300 K."""
        constant, threshold, alpha = nodes.fit(self.node, self.variant).delay
        threshold = threshold if self.threshold is None else self.threshold
        return constant, threshold, alpha if self.alpha is None else self.alpha

    @property
    def _highest(self) -> float:
        return min(nodes.NODES[part].highest for part, _ in nodes.parts(self.node))

    @property
    def area_ratio(self) -> float:
        """Area of the same logic relative to 28 nm, 1 (28 nm itself is interpolated)."""
        own, reference = (
            sum(weight * nodes.NODES[part].area for part, weight in nodes.parts(node))
            for node in (self.node, REFERENCE_NODE)
        )
        return own / reference

    @checked_arguments
    def extrapolated(self, supply: Real[ArrayLike, "..."]) -> Bool[Array, "..."]:
        """Whether energy or delay at this supply (V) lies outside its window."""
        (low, high), (slow, _) = self.energy_window, self.delay_window
        volts = jnp.asarray(supply)
        return (volts < max(low, slow)) | (volts > high)

    @checked_arguments
    def energy_ratio(self, supply: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Energy of one event relative to 28 nm and 0.9 V: `(a V^2 + b V + c) / 0.37`.

        Args:
            supply: V, shape (...), V.

        Returns:
            Ratio, shape (...), 1.

        Raises:
            ValueError: A supply outside `energy_window`, or not above 0 where extrapolation is allowed; a traced one
                raises at run time.
        """
        low, high = self.energy_window
        volts = self._check_supply(supply, low, high)
        inside = jnp.clip(volts, low, high) if self.extrapolate else volts
        energy = _energy_at(nodes.energy_coefficients(self.node, self.variant), inside) / _REFERENCE_ENERGY
        # Beyond its window the polynomial turns negative or upwards; a capacitor does not.
        return energy * (volts / inside) ** 2

    @checked_arguments
    def delay_ratio(
        self, supply: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = REFERENCE_TEMPERATURE
    ) -> Float[Array, "..."]:
        """Delay of a gate relative to 28 nm, 0.9 V and 300 K: `t / t_ref` by the alpha-power law.

        Args:
            supply: V, shape (...), V.
            temperature: T, shape (...) that broadcasts, K.

        Returns:
            Ratio, shape (...), 1.

        Raises:
            ValueError: A supply outside `delay_window` or not above the threshold, a temperature that is not above 0;
                a traced one raises at run time.
        """
        constant, threshold, alpha = self.delay_law
        volts = self._check_supply(supply, *self.delay_window)
        kelvin = _between("temperature", temperature, 0.0, math.inf, "above 0 K")
        hot = kelvin / REFERENCE_TEMPERATURE
        shifted = threshold - self.threshold_slope * (kelvin - REFERENCE_TEMPERATURE)
        volts = _between("supply", volts, shifted, math.inf, "above the threshold voltage")
        slowed = constant / _REFERENCE_DELAY * hot**self.mobility_exponent
        return _delay_at(slowed, shifted, alpha, volts)

    @checked_arguments
    def leakage_ratio(
        self, supply: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = REFERENCE_TEMPERATURE
    ) -> Float[Array, "..."]:
        """Leakage current relative to 0.8 V and 300 K: `10^(eta (V - 0.8 V) / S) exp((T - 300 K) / T_e)`.

        Args:
            supply: V, shape (...), V.
            temperature: T, shape (...) that broadcasts, K.

        Returns:
            Ratio of currents, shape (...), 1; power has one more factor of the supply.

        Raises:
            ValueError: A concrete supply or temperature that is not above 0; a traced one raises or gives NaN.
        """
        volts = _between("supply", supply, 0.0, math.inf, "above 0 V")
        decades = self.drain_lowering * (volts - LEAKAGE_SUPPLY) / self.swing
        return jnp.exp(math.log(10) * decades) * leakage_growth(temperature, self.leakage_scale)

    def _check_supply(self, supply: Real[ArrayLike, "..."], low: float, high: float) -> Float[Array, "..."]:
        if self.extrapolate:
            return _between("supply", supply, 0.0, math.inf, "above 0 V")
        words = f"from {low:g} to {high:g} V at {self.node} ({self.variant}), or allow `extrapolate`"
        return _between("supply", supply, low, high, words, edges=True)


def _between(name: str, value: Any, low: Any, high: float, allowed: str, *, edges: bool = False) -> Float[Array, "..."]:
    """Return value as a floating array; raise unless it is finite and in the interval, with its edges or without."""
    array = jnp.asarray(real(name, value))
    array = array if jnp.issubdtype(array.dtype, jnp.floating) else array * 1.0

    def inside(x: Any) -> Any:
        bound = low if isinstance(x, jax.Array) else np.asarray(low, x.dtype)
        between = (x >= bound) & (x <= high) if edges else (x > bound) & (x < high)
        return between & (abs(x) < np.inf)

    # A traced limit defers the check to run time as well.
    given = low if isinstance(low, jax.core.Tracer) else array
    rule = f"Argument `{name}` must be finite and {allowed}"
    return enforced(array, given, inside, lambda others: f"{rule}, but is {others[0]:g}.", f"{rule}.")
