"""Training of a network through the errors of the hardware it will run on."""

from amsim.training.fine_tuning.front_door import fine_tune as fine_tune
from amsim.training.fine_tuning.parts import HeldOut as HeldOut
from amsim.training.fine_tuning.parts import Optimiser as Optimiser
from amsim.training.fine_tuning.parts import TrainingDies as TrainingDies
from amsim.training.fine_tuning.result import FineTuned as FineTuned
from amsim.training.fine_tuning.step import TrainingDivergedError as TrainingDivergedError
