"""Repairs of single dies, which recover accuracy without training the network again, and the cost of each."""

from amsim.repairs.bench import Effort as Effort
from amsim.repairs.kinds import REPAIRS as REPAIRS
from amsim.repairs.kinds import BatchStatistics as BatchStatistics
from amsim.repairs.kinds import OffsetCorrection as OffsetCorrection
from amsim.repairs.kinds import Repair as Repair
from amsim.repairs.kinds import ThresholdTuning as ThresholdTuning
from amsim.repairs.kinds import Trimming as Trimming
from amsim.repairs.last_layer import LastLayer as LastLayer
from amsim.repairs.population import Repaired as Repaired
from amsim.repairs.population import repair as repair
