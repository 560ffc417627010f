"""Lower rungs of the ladder: physics, circuits, converters and integers, without a network."""

from amsim.validation.closed_forms import CLOSED_FORMS
from amsim.validation.converter_tests import CONVERTER_TESTS
from amsim.validation.energy_tables import ENERGY_TABLES
from amsim.validation.exactness import EXACTNESS
from amsim.validation.rung import Rung
from amsim.validation.simulator_cases import SIMULATOR_CASES


def circuit_rungs() -> tuple[Rung, ...]:
    """Closed forms and published laws, circuit-simulator cases, converter tests and exactness of the families."""
    return CLOSED_FORMS + ENERGY_TABLES + SIMULATOR_CASES + CONVERTER_TESTS + EXACTNESS
