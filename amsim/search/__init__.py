"""The best design: settings that need the least energy at an accuracy."""

from amsim.search.circuit import design_circuit as design_circuit
from amsim.search.circuit import pareto_curve as pareto_curve
from amsim.search.designed import DesignedCircuit as DesignedCircuit
from amsim.search.designed import InfeasibleError as InfeasibleError
from amsim.search.gradient_search import SearchDivergedError as SearchDivergedError
from amsim.search.parts import CountedEnergy as CountedEnergy
from amsim.search.parts import FinalCheck as FinalCheck
from amsim.search.parts import WeightTraining as WeightTraining
from amsim.search.space import SearchSpace as SearchSpace
