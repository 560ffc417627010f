"""Training of a network through the errors of the hardware it will run on."""

from amsim.training.fine_tuning.loop import fine_tune as fine_tune
from amsim.training.fine_tuning.result import FineTuned as FineTuned
from amsim.training.fine_tuning.step import TrainingDivergedError as TrainingDivergedError
