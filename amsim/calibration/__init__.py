"""Post-training calibration: word ranges, converter ranges and batch statistics from sample data."""

from amsim.calibration.batch_statistics import reestimate_statistics as reestimate_statistics
from amsim.calibration.batch_statistics import reestimated as reestimated
from amsim.calibration.post_training import Calibrated as Calibrated
from amsim.calibration.post_training import calibrate as calibrate
