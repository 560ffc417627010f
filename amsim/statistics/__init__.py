"""Statistics of dies: intervals, yield, paired differences, sample sizes and Pareto fronts."""

from amsim.statistics.crossing import iso_crossing as iso_crossing
from amsim.statistics.dies import bootstrap_interval as bootstrap_interval
from amsim.statistics.dies import paired_difference as paired_difference
from amsim.statistics.dies import summary as summary
from amsim.statistics.dies import yield_at as yield_at
from amsim.statistics.intervals import CONFIDENCE as CONFIDENCE
from amsim.statistics.intervals import MeanInterval as MeanInterval
from amsim.statistics.intervals import interval_variables as interval_variables
from amsim.statistics.intervals import lower_bound as lower_bound
from amsim.statistics.intervals import mean_interval as mean_interval
from amsim.statistics.intervals import proportion_interval as proportion_interval
from amsim.statistics.intervals import roc_area as roc_area
from amsim.statistics.intervals import roc_area_error as roc_area_error
from amsim.statistics.intervals import student_half_width as student_half_width
from amsim.statistics.intervals import yield_interval as yield_interval
from amsim.statistics.pareto import pareto_front as pareto_front
from amsim.statistics.sample_size import dies_for_mean as dies_for_mean
from amsim.statistics.sample_size import dies_for_yield as dies_for_yield
