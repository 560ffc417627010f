"""The best design: settings that need the least energy at an accuracy."""

from amsim.search.circuit import CircuitDesign as CircuitDesign
from amsim.search.circuit import InfeasibleError as InfeasibleError
from amsim.search.circuit import design_circuit as design_circuit
from amsim.search.circuit import pareto_curve as pareto_curve
from amsim.search.gradient_search import DesignDivergedError as DesignDivergedError
