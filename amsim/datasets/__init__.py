"""Labelled data for training and evaluation."""

from amsim.datasets.load import DATASETS as DATASETS
from amsim.datasets.load import load_dataset as load_dataset
from amsim.datasets.split import CorruptFileError as CorruptFileError
from amsim.datasets.split import Dataset as Dataset
from amsim.datasets.split import Split as Split
