"""Compiled functions of networks: compiled anew once something that the network reads has changed."""

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from amsim.files.reached_values import Reached, reached_from

KEPT = 128
"""Networks whose reached values are remembered, those used last."""
