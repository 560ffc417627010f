"""Process laws against the published polynomials, gates against facts, gradients, windows and errors."""

# mypy: disable-error-code="arg-type"

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import CellLibrary, DigitalBinary, Process, Technology, Wire
from amsim.circuits.technology.nodes import VARIANTS
from amsim.circuits.technology.technology import GATES

HP, LP = VARIANTS
NODES = [180, 130, 90, 65, 45, 40, 32, 28, 22, 20, 16, 14, 10, 7]

# Cubic of the delay, then quadratic of the energy, highest power first (facts 7.2 and its public source).
PUBLISHED = {
    (180, HP): (0, 97.09, -356.7, 406.5, 0, 24.64, -17.98),
    (130, HP): (-76.65, 334.9, -493.4, 275.8, 7.171, -6.709, 2.904),
    (90, HP): (-60.34, 262.5, -384.2, 210.9, 4.762, -4.781, 2.092),
    (65, HP): (-53.3, 230.4, -333.9, 178.6, 3.755, -4.398, 1.975),
    (45, HP): (-501.6, 1567, -1619, 566.1, 1.018, -0.3107, 0.1539),
    (32, HP): (-1047, 2982, -2797, 873.5, 0.8367, -0.4341, 0.1701),
    (45, LP): (-285.7, 1239, -1795, 898.8, 1.103, -0.362, 0.2767),
    (32, LP): (-325.9, 1374, -1922, 913.2, 0.9559, -0.7823, 0.471),
    (20, HP): (0, 34.63, -66.37, 41.15, 0.373, -0.1582, 0.04104),
    (16, HP): (0, 24.8, -47.52, 28.87, 0.2958, -0.1241, 0.03024),
    (14, HP): (-40.66, 109.2, -100.6, 35.92, 0.2363, -0.09675, 0.02239),
    (10, HP): (-34.95, 93.65, -85.99, 30.4, 0.2068, -0.09311, 0.02375),
    (7, HP): (-28.58, 76.6, -70.26, 24.69, 0.1776, -0.09097, 0.02447),
    (20, LP): (-160.5, 514.1, -558.6, 217.5, 0.2632, -0.14, 0.06841),
    (16, LP): (-114.6, 366.7, -397.4, 153.6, 0.2139, -0.1187, 0.05639),
    (14, LP): (-85.37, 271.6, -292.2, 111.4, 0.1556, -0.06472, 0.03066),
    (10, LP): (-71.76, 228.6, -246.3, 93.91, 0.1261, -0.0518, 0.02769),
    (7, LP): (-61.79, 196.1, -210.3, 79.55, 0.09365, -0.03409, 0.02043),
}
WEIGHTS = {28: {32: 2 / 3, 20: 1 / 3}, 22: {32: 1 / 6, 20: 5 / 6}, 40: {45: 8 / 13, 32: 5 / 13}}
AREAS = {180: 19, 130: 6.4, 90: 2.8, 65: 1.5, 45: 1, 32: 0.46, 20: 0.21, 16: 0.19, 14: 0.17, 10: 0.1, 7: 0.059}
EVERY = [(node, variant) for node in NODES for variant in VARIANTS]


def published(node, variant, part, supply):
    if node in WEIGHTS:
        return sum(w * published(other, variant, part, supply) for other, w in WEIGHTS[node].items())
    coefficients = PUBLISHED.get((node, variant), PUBLISHED.get((node, HP)))
    return np.polyval(coefficients[:4] if part == "delay" else coefficients[4:], supply)


def process(node, variant=HP, **fields):
    return Process(f"{node}nm", variant, **fields)


@pytest.mark.parametrize(
    ("node", "supply", "ratio"),
    [
        (65, 1.0, 1.91),
        (28, 0.9, 0.53),
        (28, 0.8, 0.42),
        (28, 0.7, 0.32),
        (28, 0.6, 0.24),
        (20, 0.9, 0.29),
        (16, 0.8, 0.17),
        (7, 0.7, 0.068),
    ],
)
def test_energies_of_the_facts(node, supply, ratio):
    """Relative to 45 nm at 0.9 V (facts 7.2), within the rounding there."""
    found = float(process(node).energy_ratio(supply)) / float(process(45).energy_ratio(0.9))
    assert found == pytest.approx(ratio, rel=0.015, abs=0)


@pytest.mark.sampled
@pytest.mark.parametrize(("node", "variant"), EVERY)
def test_energy_and_area_against_the_published_tables(node, variant):
    chosen = process(node, variant)
    low, high = chosen.energy_window
    supplies = np.linspace(low, high, 13)
    reference = published(28, HP, "energy", 0.9)
    for x64, tolerance in ((False, 3e-6), (True, 1e-12)):
        with jax.enable_x64(x64):
            ratio = Process(chosen.node, variant).energy_ratio(jnp.asarray(supplies, float))
            assert ratio.dtype == (jnp.float64 if x64 else jnp.float32)
            np.testing.assert_allclose(ratio, published(node, variant, "energy", supplies) / reference, rtol=tolerance)
    # What makes the window: energy rises with supply, and so does the charge of an event.
    assert np.all(np.diff(np.asarray(ratio)) > 0)
    assert np.all(np.diff(np.asarray(ratio) / supplies) > 0)
    area = sum(w * AREAS[n] for n, w in WEIGHTS.get(node, {node: 1}).items())
    assert chosen.area_ratio == pytest.approx(area / (2 / 3 * 0.46 + 1 / 3 * 0.21))
    assert chosen.interpolated == (node in WEIGHTS)
    assert chosen.feature_size == pytest.approx(node * 1e-9)
    assert low < chosen.nominal_supply < high


def test_area_falls_with_the_node_and_energy_at_nominal_supply_too():
    processes = [process(node) for node in NODES]
    assert np.all(np.diff([p.area_ratio for p in processes]) < 0)
    assert np.all(np.diff([float(p.energy_ratio(p.nominal_supply)) for p in processes]) < 0)


@pytest.mark.sampled
@pytest.mark.parametrize(("node", "variant"), EVERY)
def test_delay_law_against_the_published_cubics(node, variant):
    """Where the cubic falls with supply; the tolerances are those of the docstring."""
    chosen = process(node, variant)
    low, high = chosen.delay_window
    supplies = np.arange(low, high + 1e-9, 0.01)
    cubic = published(node, variant, "delay", supplies)
    turning = np.argmax(np.diff(cubic) > -1e-3) or len(supplies)
    ratio = np.asarray(chosen.delay_ratio(jnp.asarray(supplies, float)))
    assert np.all(np.diff(ratio) < 0)
    # Against the law of 28 nm at 0.9 V, where the cubics have turned upward.
    reference = 2.134 * 0.9 / (0.9 - 0.388) ** 2
    error = np.abs(ratio * reference / cubic - 1)[:turning]
    if node >= 65 or node <= 20:
        near = far = 0.11
    else:
        cases = {(28, HP): (0.15, 0.31), (28, LP): (0.37, 0.37), (22, HP): (0.1, 0.2), (22, LP): (0.1, 0.2)}
        near, far = cases.get((node, variant), (0.26, 0.56))
    assert error[supplies[:turning] >= 0.6].max() < near
    assert error.max() < far


def test_alpha_power_law_by_hand():
    own = process(65, threshold=0.4, alpha=1.4)
    ratio = float(own.delay_ratio(0.7) / own.delay_ratio(1.1))
    assert ratio == pytest.approx(0.7 / 0.3**1.4 / (1.1 / 0.7**1.4), rel=1e-5)
    assert float(process(28).delay_ratio(0.9)) == pytest.approx(1, rel=1e-6)
    # Hotter by 60 K: mobility alone, then with the threshold.
    hot = float(process(28, threshold_slope=0.0).delay_ratio(0.9, 360.0))
    assert hot == pytest.approx(1.2**1.5, rel=1e-5)
    shifted = 0.388 - 0.8e-3 * 60
    wanted = 1.2**1.5 * ((0.9 - 0.388) / (0.9 - shifted)) ** 2
    assert float(process(28).delay_ratio(0.9, 360.0)) == pytest.approx(wanted, rel=1e-5)


def test_inverse_temperature_dependence():
    """Heat slows 28 nm at 0.9 V and speeds it up at 0.6 V (facts 8)."""
    temperatures = jnp.linspace(250.0, 390.0, 8)
    assert np.all(np.diff(process(28).delay_ratio(0.9, temperatures)) > 0)
    assert np.all(np.diff(process(28).delay_ratio(0.6, temperatures)) < 0)


def test_leakage():
    chosen = process(28)
    assert float(chosen.leakage_ratio(0.8)) == pytest.approx(1, rel=1e-6)
    doubled = float(chosen.leakage_ratio(0.8, 300 + 14 * math.log(2)))
    assert doubled == pytest.approx(2, rel=1e-5)
    # A decade each 0.85 V of supply with 0.1 V/V and 85 mV.
    assert float(chosen.leakage_ratio(0.8 - 0.85 / 2)) == pytest.approx(10**-0.5, rel=1e-4)
    assert float(process(28, drain_lowering=0.0).leakage_ratio(0.4)) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("what", ["energy_ratio", "delay_ratio", "leakage_ratio"])
def test_derivatives(what):
    with jax.enable_x64(True):
        chosen = Process("16nm", threshold=0.25, alpha=1.4)

        def value(p, supply, temperature):
            return getattr(p, what)(*((supply,) if what == "energy_ratio" else (supply, temperature)))

        by_process, *slopes = jax.jit(jax.grad(value, argnums=(0, 1, 2)))(chosen, 0.7, 320.0)
        for place, slope in enumerate(slopes):
            step = np.array([1e-6, 0]) if place == 0 else np.array([0, 1e-3])
            up, down = (float(value(chosen, 0.7 + s * step[0], 320.0 + s * step[1])) for s in (1, -1))
            assert float(slope) == pytest.approx((up - down) / (2 * step.sum()), rel=1e-6, abs=1e-12), place
        for field in dataclasses.fields(chosen):
            here = getattr(chosen, field.name)
            if isinstance(here, jax.Array):
                moved = [
                    float(value(dataclasses.replace(chosen, **{field.name: float(here) * (1 + s)}), 0.7, 320.0))
                    for s in (1e-6, -1e-6)
                ]
                wanted = (moved[0] - moved[1]) / (2e-6 * float(here))
                assert float(getattr(by_process, field.name)) == pytest.approx(wanted, rel=1e-5, abs=1e-9), field.name


def test_derivative_at_the_edge_of_the_window():
    """Not halved as by a clip."""
    for edge in (0.5, 1.1):
        reference = published(28, HP, "energy", 0.9)
        slope = (published(28, HP, "energy", edge + 1e-6) - published(28, HP, "energy", edge - 1e-6)) / 2e-6
        assert float(jax.grad(process(28).energy_ratio)(edge)) == pytest.approx(slope / reference, rel=1e-4)


def test_vmap_jit_and_plain_agree():
    supplies = jnp.linspace(0.5, 1.0, 5)
    chosen = process(28)
    for call in (chosen.energy_ratio, chosen.delay_ratio, chosen.leakage_ratio, chosen.extrapolated):
        np.testing.assert_allclose(jax.jit(jax.vmap(call))(supplies), call(supplies), rtol=1e-5)
        assert all(np.isclose(float(call(float(v))), float(call(supplies)[i])) for i, v in enumerate(supplies))


@pytest.mark.parametrize(("node", "supplies"), [(180, [0.5, 0.73, 2.5]), (28, [0.4, 1.3]), (7, [0.3, 1.2])])
def test_extrapolation_is_allowed_and_reported(node, supplies):
    strict, free = process(node), process(node, extrapolate=True)
    low, high = strict.energy_window
    np.testing.assert_array_equal(strict.extrapolated(jnp.asarray([low, high])), [False, False])
    np.testing.assert_array_equal(free.extrapolated(jnp.asarray(supplies)), True)
    for supply in supplies:
        with pytest.raises(ValueError, match=rf"`supply` must be finite and from .* V at {node}nm .*but is {supply}"):
            strict.energy_ratio(supply)
        edge = low if supply < low else high
        wanted = float(strict.energy_ratio(edge)) * (supply / edge) ** 2
        assert float(free.energy_ratio(supply)) == pytest.approx(wanted, rel=1e-5)
    # Continuous at the edge; the delay goes on by its own law.
    assert float(free.energy_ratio(high * 1.0001)) == pytest.approx(float(strict.energy_ratio(high)), rel=1e-3)
    assert float(free.delay_ratio(high + 0.2)) < float(strict.delay_ratio(high))


def test_delay_needs_a_supply_above_the_threshold():
    with pytest.raises(ValueError, match=r"`supply` must be finite and above the threshold voltage, but is 0.38"):
        process(28, extrapolate=True).delay_ratio(0.38)
    # The threshold rises in the cold.
    with pytest.raises(ValueError, match="above the threshold voltage"):
        process(32).delay_ratio(0.5, 190.0)


@pytest.mark.filterwarnings("ignore")
def test_traced_values_raise_at_run_time():
    chosen = process(28)
    for call, wrong in (
        (chosen.energy_ratio, 0.4),
        (chosen.delay_ratio, 1.2),
        (lambda t: chosen.delay_ratio(0.8, t), -3.0),
        (chosen.leakage_ratio, -0.1),
        (process(28, extrapolate=True).energy_ratio, 0.0),
        (process(28, extrapolate=True).delay_ratio, 0.3),
    ):
        assert np.isfinite(float(jax.jit(lambda x, call=call: call(x))(0.8 if wrong != -3.0 else 300.0)))
        with pytest.raises(Exception, match=r"Argument `(supply|temperature)` must be finite and"):
            jax.block_until_ready(jax.jit(lambda x, call=call: call(x))(wrong))


def test_names_of_nodes():
    assert Process("28 nm").node == Process(28e-9).node == Process().node == "28nm"
    assert Process(np.float64(7e-9)).node == "7nm"
    assert Process("65nm", LP).energy_ratio(1.0) == Process("65nm", HP).energy_ratio(1.0)
    assert jax.tree.structure(Process("7nm")) != jax.tree.structure(Process("16nm"))


def test_wrong_arguments(as_a_user_runs_it):
    for make, words in (
        (lambda: Process("27nm"), "`node` must be one of .*28nm.*but is '27nm'"),
        (lambda: Process(28), "`node` must be one of .*but is '28'"),
        (lambda: Process(variant="LP"), "`variant` must be one of high-performance, low-power, but is 'LP'"),
        (lambda: Process(swing=0.0), "`swing` must be finite and above 0"),
        (lambda: Process(threshold=-0.1), "`threshold` must be finite and at least 0"),
        (lambda: Process().energy_ratio(float("nan")), "`supply` must be finite"),
        (lambda: Process().energy_ratio([0.8, 2.0]), "`supply` must be finite and from 0.5 to 1.1 V.*but is 2"),
        (lambda: Process().leakage_ratio(0.0), "`supply` must be finite and above 0 V, but is 0"),
        (lambda: Process().delay_ratio(0.8, 0.0), "`temperature` must be finite and above 0 K, but is 0"),
        (lambda: Technology(process="28nm"), "`process` must be of type Process"),
        (lambda: Technology(library=None), "`library` must be of type CellLibrary"),
        (lambda: Technology().energy("nor", 0.8), "`gate` must be one of flip_flop, full_adder, nand, xor.*'nor'"),
        (lambda: Technology().delay("or", 0.8), "`gate` must be one of"),
        (lambda: CellLibrary(nand_delay=-1e-12), "`nand_delay` must be finite and at least 0"),
        (lambda: Wire(capacitance=-1.0), "`capacitance` must be finite and at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


# Gates.


def test_gates_at_28_nm():
    """Capacitances, areas and delay of facts 7.3."""
    gates = Technology()
    for gate, femtofarad, nands in (
        ("nand", 0.7, 1),
        ("xor", 1.05, 2.4),
        ("full_adder", 4.2, 7.8),
        ("flip_flop", 2.1, 6),
    ):
        assert float(gates.energy(gate, 0.9)) == pytest.approx(femtofarad * 1e-15 * 0.81, rel=1e-5, abs=0)
        assert float(gates.area(gate)) == pytest.approx(nands * 0.614e-12, rel=1e-5, abs=0)
        power = float(gates.leakage_power(gate, 0.8))
        assert power == pytest.approx(nands * 50e-12 * 0.8, rel=1e-5, abs=0)
    assert float(gates.delay("nand", 0.9)) == pytest.approx(47.8e-12, rel=1e-5, abs=0)
    assert float(gates.delay("full_adder", 0.9)) == pytest.approx(2 * 2.4 * 47.8e-12, rel=1e-5, abs=0)
    # What users of the capacitances alone assume.
    supplies = jnp.linspace(0.55, 1.1, 12)
    np.testing.assert_allclose(gates.energy("full_adder", supplies), 4.2e-15 * supplies**2, rtol=0.05)


def test_gates_at_other_nodes():
    old, new = Technology(process=process(65)), Technology(process=process(7))
    for gate in GATES:
        ratio = float(old.energy(gate, 1.0)) / float(new.energy(gate, 0.7))
        wanted = published(65, HP, "energy", 1.0) / published(7, HP, "energy", 0.7)
        assert ratio == pytest.approx(wanted, rel=1e-5)
        assert float(old.area(gate) / new.area(gate)) == pytest.approx(1.5 / 0.059, rel=1e-5)
    # An inverse node in float32 stays a normal number.
    assert float(new.energy("nand", 0.7)) > 1e-17


def test_equivalent_technology_serves_a_macro():
    old = Technology(process=process(65))
    equivalent = old.equivalent(1.0)
    for gate in GATES:
        assert float(equivalent.capacitance(gate)) == pytest.approx(float(old.energy(gate, 1.0)), rel=1e-5, abs=0)
        assert float(equivalent.area(gate)) == pytest.approx(float(old.area(gate)), rel=1e-5, abs=0)
    plain, scaled = (DigitalBinary(supply=1.0, technology=t) for t in (Technology(), equivalent))
    ratio = float(scaled.area / plain.area)
    assert ratio == pytest.approx(process(65).area_ratio, rel=1e-5)
    same = Technology().equivalent(0.9)
    leaves = zip(jax.tree.leaves(Technology()), jax.tree.leaves(same), strict=True)
    assert all(np.isclose(a, b, rtol=1e-5, atol=0) for a, b in leaves)
    slope = jax.grad(lambda v: old.equivalent(v).xor_capacitance * 1e15)(1.0)
    assert np.isfinite(slope)


def test_gradients_of_gates_in_float32():
    gates = Technology()
    for what in ("energy", "delay", "leakage_power"):
        slopes = eqx.filter_grad(lambda g, what=what: getattr(g, what)("flip_flop", 0.6))(gates)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
        assert np.isfinite(jax.grad(lambda v, what=what: getattr(gates, what)("xor", v))(0.6))
    none = dataclasses.replace(gates, nand_area=0.0)
    assert float(none.leakage_power("xor", 0.8)) == 0
    assert np.isfinite(jax.grad(lambda g: g.leakage_power("xor", 0.8))(none).nand_area)


def test_wires():
    wire = Wire()
    # 0.2 pF for a millimetre; 0.38 x 3 kOhm x 0.2 pF.
    assert float(wire.energy(1e-3, 0.8)) == pytest.approx(0.5 * 0.2e-12 * 0.64, rel=1e-5, abs=0)
    assert float(wire.delay(1e-3)) == pytest.approx(0.38 * 3e3 * 0.2e-12, rel=1e-5, abs=0)
    assert float(wire.delay(2e-3) / wire.delay(1e-3)) == pytest.approx(4, rel=1e-5)
    # A distributed line by many lumps: time to half swing.
    count = 60
    matrix = np.diag(np.full(count, -2.0)) + np.diag(np.ones(count - 1), 1) + np.diag(np.ones(count - 1), -1)
    matrix[-1, -1] = -1
    values, vectors = np.linalg.eigh(matrix * count**2)
    start = vectors.T @ np.ones(count)
    times = np.linspace(0.3, 0.5, 2001)
    end = 1 - vectors[-1] @ (np.exp(np.outer(values, times)) * start[:, None])
    assert times[np.argmax(end > 0.5)] == pytest.approx(0.38, rel=0.03)
