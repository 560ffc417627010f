"""A network on dies: accuracy, detection, unseen dies and sources of error by site."""

from amsim.evaluation.accuracy import evaluate as evaluate
from amsim.evaluation.detection import evaluate_detector as evaluate_detector
from amsim.evaluation.sources_by_site import sensitivity as sensitivity
from amsim.evaluation.unseen_dies import unseen_dies_report as unseen_dies_report
