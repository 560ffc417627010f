"""Export of networks and hardware to the ZigZag design-space explorer."""

from amsim.zigzag.export import write as write
