"""Training of networks, on ideal arithmetic and through the errors of the hardware."""

from amsim.training.fine_tuning import FineTuned as FineTuned
from amsim.training.fine_tuning import TrainingDivergedError as TrainingDivergedError
from amsim.training.fine_tuning import fine_tune as fine_tune
from amsim.training.reference_networks import TrainingResult as TrainingResult
from amsim.training.reference_networks import train as train
