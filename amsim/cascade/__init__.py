"""Cascades: stages that wake only when the stage before says so."""

from amsim.cascade.alternatives import arrangements as arrangements
from amsim.cascade.alternatives import stage_at_supply as stage_at_supply
from amsim.cascade.chain import Cascade as Cascade
from amsim.cascade.closed_form import Averages as Averages
from amsim.cascade.closed_form import averages as averages
from amsim.cascade.discrete_events import simulate_cascade as simulate_cascade
from amsim.cascade.evaluating import evaluate_cascade as evaluate_cascade
from amsim.cascade.gating import Decisions as Decisions
from amsim.cascade.gating import all_scores as all_scores
from amsim.cascade.gating import gated_decisions as gated_decisions
from amsim.cascade.operating_points import OperatingPoint as OperatingPoint
from amsim.cascade.operating_points import operating_point as operating_point
from amsim.cascade.operating_points import power_curve as power_curve
from amsim.cascade.power_limit import highest_event_rate as highest_event_rate
from amsim.cascade.relaxation import SmoothCosts as SmoothCosts
from amsim.cascade.relaxation import relaxed_power as relaxed_power
from amsim.cascade.relaxation import soft_reach as soft_reach
from amsim.cascade.stage import Stage as Stage
from amsim.cascade.stage import StatedDetector as StatedDetector
from amsim.cascade.stage_cost import StageCost as StageCost
from amsim.cascade.stated_numbers import StatedNumber as StatedNumber
from amsim.cascade.stream import Load as Load
from amsim.cascade.talk_systems import face_cascade as face_cascade
from amsim.cascade.talk_systems import voice_cascade as voice_cascade
