"""Labelled data for training and evaluation."""

from amsim.datasets.load import CorruptFileError as CorruptFileError
from amsim.datasets.load import Dataset as Dataset
from amsim.datasets.load import Split as Split
from amsim.datasets.load import load_dataset as load_dataset
