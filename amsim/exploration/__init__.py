"""Explorations: network, precision, circuit, supply and memories chosen together for the least energy."""

from amsim.exploration.front_door import explore as explore
from amsim.exploration.members import network_grid as network_grid
from amsim.exploration.shipped_results import shipped_network as shipped_network
from amsim.exploration.space import DesignSpace as DesignSpace
from amsim.exploration.space import Limits as Limits
from amsim.exploration.training import TrainingBudget as TrainingBudget
from amsim.report.exploration import answer as answer
