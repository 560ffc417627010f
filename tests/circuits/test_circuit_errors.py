"""Wrong arguments of circuits: every message names the argument, its value and what is allowed."""

# mypy: disable-error-code="arg-type, call-arg, union-attr"

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

from amsim.circuits import (
    Adc,
    BiasDac,
    CellLibrary,
    Comparator,
    ConvolutionProduct,
    DigitalBinary,
    Dram,
    Drivers,
    Exact,
    Faults,
    Layout,
    Leakage,
    MultiPrecision,
    Neuron,
    Operands,
    RegisterFile,
    ResetSwitch,
    Sram,
    SramCell,
    SramOrganisation,
    SwitchedCapacitor,
    Technology,
    Trim,
    Wire,
)
from amsim.circuits.checks import integer_between, one_of
from amsim.circuits.multi_precision import PrecisionMode

MACRO = SwitchedCapacitor(rows=8, columns=4)
INPUTS, WEIGHTS = np.ones((3, 8)), np.ones((8, 2))


@pytest.fixture(autouse=True)
def as_a_user_runs_it():
    """The tests' run-time type checks would speak before the package's own."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def refused(call, *words):
    with pytest.raises(ValueError, match=r"must|cannot|no|only|fit") as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert "\n" not in message
    return message


POSITIVE = [
    (SwitchedCapacitor, ["unit_capacitance", "supply", "clock", "evaluation_cycles", "load_width"]),
    (DigitalBinary, ["supply", "overhead", "clock", "evaluation_cycles", "load_width"]),
    (MultiPrecision, ["mac_energy", "utilisation"]),
    (Adc, ["range"]),
    (BiasDac, ["lsb"]),
    (Comparator, ["regeneration_time_constant", "gain", "swing"]),
    (Trim, ["averages"]),
    (Drivers, ["resistance"]),
    (ResetSwitch, ["resistance"]),
    (Leakage, ["off_resistance", "temperature_scale"]),
    (Sram, ["capacity", "supply"]),
    (PrecisionMode, ["supply", "clock", "capacitance_ratio"]),
    (SramOrganisation, ["write_ratio", "access_time"]),
    (SramCell, ["sigma"]),
    (RegisterFile, ["supply"]),
]
NOT_NEGATIVE = [
    (
        SwitchedCapacitor,
        [
            "mismatch_coefficient",
            "cell_parasitic",
            "line_parasitic",
            "bottom_parasitic",
            "temperature",
            "reference_tracking",
            "cell_capacitance",
            "cell_area",
            "cell_leakage",
        ],
    ),
    (
        Comparator,
        [
            "noise",
            "offset_sigma",
            "energy_floor",
            "energy_noise_product",
            "integration_time",
            "area",
            "input_capacitance",
            "temperature_drift",
            "supply_drift",
        ],
    ),
    (Trim, ["range"]),
    (Drivers, ["spread", "noise_fraction"]),
    (
        ResetSwitch,
        [
            "feedthrough_capacitance",
            "clock_swing",
            "channel_capacitance",
            "injected_fraction",
            "overdrive",
            "spread",
        ],
    ),
    (Leakage, ["hold_time", "current", "spread"]),
    (
        Layout,
        ["linear_gradient", "quadratic_gradient", "correlated_sigma", "correlation_length", "edge_error"],
    ),
    (Faults, ["stuck_high", "stuck_low", "dead_column"]),
    (Adc, ["linear_capacitance", "exponential_capacitance", "area"]),
    (MultiPrecision, ["unit_area", "unit_leakage"]),
    (
        CellLibrary,
        [f"{name}_capacitance" for name in ("nand", "flip_flop", "clock_pin")] + ["nand_delay", "nand_leakage"],
    ),
    (Wire, ["capacitance", "resistance"]),
    (SramOrganisation, ["capacity_exponent", "decoding_share", "time_exponent"]),
    (SramCell, ["mean"]),
    (RegisterFile, ["activity", "clocked"]),
    (Sram, ["access_energy", "leakage", "bit_area"]),
    (Dram, ["access_energy"]),
    (
        Technology,
        ["xor_capacitance", "full_adder_capacitance", "nand_area", "xor_area", "flip_flop_area", "full_adder_area"],
    ),
]


def pairs(table):
    return [pytest.param(kind, name, id=f"{kind.__name__}-{name}") for kind, names in table for name in names]


def build(kind, **fields):
    return kind(**({"capacity": 1024.0} | fields if kind is Sram else fields))


def test_every_quantity_is_in_these_tables():
    for kind in {kind for kind, _ in (*POSITIVE, *NOT_NEGATIVE)}:
        leaves = {f.name for f in dataclasses.fields(kind) if isinstance(getattr(build(kind), f.name), jax.Array)}
        assert leaves == {
            name for table in (POSITIVE, NOT_NEGATIVE) for k, names in table if k is kind for name in names
        }


@pytest.mark.parametrize(("kind", "name"), pairs(POSITIVE))
def test_zero_where_more_is_needed(kind, name):
    refused(lambda: build(kind, **{name: 0}), f"Argument `{name}` must be finite and above 0", "but is 0.")


@pytest.mark.parametrize(("kind", "name"), pairs(POSITIVE + NOT_NEGATIVE))
@pytest.mark.parametrize("value", [-1e-15, float("nan"), float("inf"), "1 fF", None, [1e-15, 2e-15], 1j, True])
def test_wrong_quantities(kind, name, value):
    assert f"Argument `{name}` must be" in refused(lambda: build(kind, **{name: value}))


@pytest.mark.parametrize(("kind", "name"), pairs(NOT_NEGATIVE))
def test_zero_where_it_is_allowed(kind, name):
    built = build(kind, **{name: 0})
    assert float(getattr(built, name)) == 0
    assert getattr(built, name).dtype == jnp.float32


def test_messages_in_full():
    assert refused(lambda: SwitchedCapacitor(unit_capacitance=-1e-15)) == (
        "Argument `unit_capacitance` must be finite and above 0, but is -1e-15."
    )
    assert refused(lambda: SwitchedCapacitor(supply="0.6 V")) == "Argument `supply` must be a number, but is '0.6 V'."
    assert refused(lambda: SwitchedCapacitor(supply="0.6")) == "Argument `supply` must be a number, but is '0.6'."
    assert refused(lambda: MultiPrecision(utilisation=1.5)) == (
        "Argument `utilisation` must be finite and above 0 and at most 1, but is 1.5."
    )
    assert refused(lambda: SwitchedCapacitor(supply=[0.5, 0.6])) == (
        "Argument `supply` must be a single number, but has shape (2,); use jax.vmap."
    )
    # Not above 0 as float32 stores it.
    refused(lambda: SwitchedCapacitor(unit_capacitance=1e-50), "unit_capacitance", "above 0", "1e-50")
    refused(lambda: SwitchedCapacitor(supply=1e40), "supply", "finite", "1e+40")


@pytest.mark.parametrize("kind", [SwitchedCapacitor, DigitalBinary, MultiPrecision, Exact])
@pytest.mark.parametrize("name", ["rows", "columns", "weight_bits", "input_bits"])
@pytest.mark.parametrize("value", [0, -1, 4.0, True, None, "8", np.float32(8)])
def test_wrong_counts_of_a_macro(kind, name, value):
    allowed = "an integer from 1 to 16" if name.endswith("bits") else "an integer of at least 1"
    plain = value.item() if isinstance(value, np.generic) else value
    refused(lambda: kind(**{name: value}), f"Argument `{name}` must be {allowed}, but is {plain!r}.")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(MultiPrecision, "weight_bits"), (SwitchedCapacitor, "input_bits"), (Adc, "bits"), (BiasDac, "bits")],
)
@pytest.mark.parametrize("value", [0, 17])
def test_wrong_word_lengths(kind, name, value):
    refused(lambda: kind(**{name: value}), f"Argument `{name}` must be an integer from 1 to 16, but is {value}.")


def test_other_static_settings():
    refused(lambda: MultiPrecision(accumulator_bits=65), "`accumulator_bits`", "from 2 to 64", "65")
    refused(lambda: MultiPrecision(rounding="floor"), "`rounding`", "nearest, truncate", "'floor'")
    message = refused(lambda: MultiPrecision(rounding="truncated"), "Did you mean 'truncate'?")
    assert message.startswith("Argument `rounding` must be one of")
    refused(lambda: one_of("word", "x", ("abc",)), "Argument `word` must be one of abc, but is 'x'.")


def test_numpy_integers_are_integers():
    """Swept sizes come out of NumPy arrays."""
    macro = SwitchedCapacitor(rows=np.int64(8), columns=np.int32(4), adc=Adc(bits=np.int64(6)))
    assert [type(value) for value in (macro.rows, macro.columns, macro.adc.bits)] == [int] * 3
    assert eqx.tree_equal(macro, SwitchedCapacitor(rows=8, columns=4, adc=Adc(bits=6)))
    assert macro.ideal().rows == 8
    integer_between("count", np.int64(3), 1, 3)
    refused(lambda: integer_between("count", np.int64(4), 1, 3), "`count`", "from 1 to 3", "4")


def test_readouts():
    refused(lambda: SwitchedCapacitor(comparator=None, adc=None), "`comparator` or `adc`")
    refused(lambda: SwitchedCapacitor(comparator=None), "`comparator`", "the ADC decides with it")
    refused(lambda: SwitchedCapacitor(comparator=0.4e-3), "`comparator`", "Comparator or None", "0.0004")
    refused(lambda: SwitchedCapacitor(adc=8), "`adc`", "of type Converter or None", "8")
    refused(lambda: SwitchedCapacitor(bias_dac=None), "`bias_dac`", "of type BiasDac", "None")


# Calls.


@pytest.mark.parametrize("call", ["matmul", "decide"])
def test_operands(call):
    use = getattr(MACRO, call)
    nan, infinite = WEIGHTS.copy(), INPUTS.copy()
    nan[0, 0], infinite[1, 2] = np.nan, np.inf
    refused(lambda: use(INPUTS, nan), "Argument `weights` must be finite", "1 NaN or infinite")
    refused(lambda: use(infinite, WEIGHTS), "Argument `inputs` must be finite", "1 NaN or infinite")
    refused(lambda: use(INPUTS, WEIGHTS[:, 0]), "`weights` must have shape (rows, columns)", "(8,)")
    refused(lambda: use(INPUTS, WEIGHTS[None]), "`weights` must have shape (rows, columns)", "(1, 8, 2)")
    refused(lambda: use(INPUTS[:, :7], WEIGHTS), "`inputs` must have shape (..., 8)", "`weights`", "(3, 7)")
    refused(lambda: use(1.0, WEIGHTS), "`inputs` must have shape (..., 8)", "()")
    refused(lambda: use(np.ones((3, 0)), np.ones((0, 2))), "`weights`", "(0, 2)")
    refused(lambda: use(INPUTS, np.ones((8, 0))), "`weights`", "(8, 0)")


@pytest.mark.parametrize("call", ["matmul", "decide"])
def test_keys_and_dies(call):
    use = getattr(MACRO, call)
    refused(lambda: use(INPUTS, WEIGHTS, key=0), "Argument `key` must be one key from jax.random.key, but is 0.")
    refused(lambda: use(INPUTS, WEIGHTS, key=jax.random.PRNGKey(0)), "`key`", "jax.random.key", "uint32")
    refused(lambda: use(INPUTS, WEIGHTS, key=jax.random.split(jax.random.key(0))), "`key`", "one key", "(2,)")
    refused(lambda: MACRO.fabricate(0), "Argument `key` must be one key from jax.random.key, but is 0.")
    key = jax.random.key(0)
    for other, words in [
        (SwitchedCapacitor(rows=9, columns=4), ("8 rows", "9 rows")),
        (SwitchedCapacitor(rows=8, columns=5), ("4 columns", "5 columns")),
        (dataclasses.replace(MACRO, bias_dac=BiasDac(bits=5)), ("10 bias capacitors", "6 bias capacitors")),
    ]:
        die = other.fabricate(key)
        refused(lambda die=die: use(INPUTS, WEIGHTS, die=die), "`die` must be a die of this macro", *words)
    refused(lambda: use(INPUTS, WEIGHTS, die=jnp.ones((8, 4))), "`die` must be a die of this macro", "fabricate")
    refused(lambda: use(INPUTS, WEIGHTS, die=MACRO), "`die`", "SwitchedCapacitor")


def test_a_digital_macro_has_no_die():
    die = MACRO.fabricate(jax.random.key(0))
    for macro in (DigitalBinary(), MultiPrecision(), Exact()):
        refused(lambda macro=macro: macro.matmul(INPUTS, WEIGHTS, die=die), "`die` must be None", type(macro).__name__)


def test_comparator_only_reads_no_numbers():
    macro = dataclasses.replace(MACRO, adc=None)
    refused(lambda: macro.matmul(INPUTS, WEIGHTS), "SwitchedCapacitor", "only a comparator", "`decide`", "`adc`")
    assert not macro.reads_numbers


def test_decisions_that_do_not_fit():
    refused(lambda: MACRO.decide(np.ones((3, 9)), np.ones((9, 2))), "9 rows", "a line of 8 rows", "at least 9", "ADC")
    for macro in (DigitalBinary(), MultiPrecision(), Exact()):
        refused(
            lambda macro=macro: macro.decide(INPUTS, WEIGHTS), f"{type(macro).__name__} cannot decide", "comparator"
        )
        neuron = Neuron(jnp.ones(2), jnp.ones(2))
        refused(
            lambda macro=macro, neuron=neuron: macro.margin(Operands.dense(INPUTS, WEIGHTS), neuron),
            type(macro).__name__,
            "no comparator",
        )
    two_bit = dataclasses.replace(MACRO, input_bits=2)
    refused(lambda: two_bit.decide(INPUTS, WEIGHTS), "one-bit operands", "1-bit weights", "2-bit inputs")


def test_operands_and_thresholds_of_a_decision():
    refused(lambda: MACRO.decide(0.5 * INPUTS, WEIGHTS), "`inputs` must be -1, 0 or +1", "0.5")
    refused(lambda: MACRO.decide(INPUTS, 2 * WEIGHTS), "`weights` must be -1, 0 or +1", "2")
    refused(lambda: MACRO.decide(INPUTS, WEIGHTS, np.zeros(3)), "`thresholds`", "(2,)", "(3,)")
    refused(lambda: MACRO.decide(INPUTS, WEIGHTS, np.zeros((2, 2))), "`thresholds`", "(2,)", "(2, 2)")
    refused(lambda: MACRO.decide(INPUTS, WEIGHTS, np.nan), "Argument `thresholds` must be finite")


def test_rows_that_cannot_be_separated():
    product = ConvolutionProduct(kernel=(3, 3), channels=4, columns=2, strides=(1, 1), dilation=(1, 1))
    refused(lambda: product.tiles(8), "`rows` must be at least 9", "8")
    grouped = dataclasses.replace(product, groups=2)
    refused(lambda: grouped.tiles(18), "`rows` must be at least 36", "grouped", "18")
    assert grouped.tiles(36) == 1
    assert product.tiles(18) == 2


# Under jit.


def raised(call):
    with pytest.raises(Exception, match="Argument") as caught:
        jax.block_until_ready(call())
    return re.sub(r"\s+", " ", str(caught.value))


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [("unit_capacitance", -1e-15, "above 0"), ("supply", 0.0, "above 0"), ("temperature", float("nan"), "at least 0")],
)
def test_a_traced_quantity_is_checked_at_run_time(name, value, allowed):
    die, key = MACRO.fabricate(jax.random.key(0)), jax.random.key(1)

    @jax.jit
    def run(value):
        return dataclasses.replace(MACRO, **{name: value}).matmul(INPUTS, WEIGHTS, die=die, key=key)

    assert np.isfinite(run(getattr(MACRO, name))).all()
    assert f"Argument `{name}` must be finite and {allowed}" in raised(lambda: run(value))
    batch = jnp.stack([getattr(MACRO, name), jnp.asarray(value)])
    assert f"Argument `{name}` must be finite and {allowed}" in raised(lambda: jax.vmap(run)(batch))


def test_traced_whole_numbers_become_floats_and_shapes_are_checked():
    assert jax.eval_shape(lambda value: SwitchedCapacitor(supply=value).supply, 1).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"`supply` must be a single number, but has shape \(2,\)"):
        jax.jit(lambda value: SwitchedCapacitor(supply=value).supply)(jnp.ones(2))


def test_traced_operands_are_checked_at_run_time():
    use = jax.jit(lambda inputs, weights: MACRO.matmul(inputs, weights))
    assert "Argument `weights` must be finite" in raised(lambda: use(INPUTS, WEIGHTS * np.nan))
    decide = jax.jit(lambda inputs, weights: MACRO.decide(inputs, weights))
    assert "Argument `inputs` must be -1, 0 or +1" in raised(lambda: decide(0.5 * INPUTS, WEIGHTS))
    with pytest.raises(ValueError, match="`inputs` must have shape"):
        use(INPUTS[:, :7], WEIGHTS)


def test_constants_may_be_built_under_jit():
    """A macro of plain numbers inside a compiled function is no traced quantity and costs no check."""
    program = str(jax.make_jaxpr(lambda: SwitchedCapacitor(supply=0.5).noise_counts)())
    assert "callback" not in program
    with pytest.raises(ValueError, match="Argument `supply`"):
        jax.jit(lambda: SwitchedCapacitor(supply=-0.5).supply)()


def test_double_precision_macros_are_double_throughout():
    """Parts made by default too, whichever precision was set when the package was imported."""
    with jax.enable_x64(True):
        for macro in (SwitchedCapacitor(), DigitalBinary(), MultiPrecision()):
            assert {leaf.dtype for leaf in jax.tree.leaves(macro)} == {np.dtype(np.float64)}
        macro = SwitchedCapacitor(rows=8, columns=4)
        die = macro.fabricate(jax.random.key(0))
        assert jax.eval_shape(lambda: macro.matmul(INPUTS, WEIGHTS, die=die)).dtype == np.float64
