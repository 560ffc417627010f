"""Networks trained by others, with data to test them on, read at run time from the packages that carry them."""

from amsim.foreign.published.detectors import DETECTORS as DETECTORS
from amsim.foreign.published.detectors import Detector as Detector
from amsim.foreign.published.detectors import load_detector as load_detector
from amsim.foreign.published.detectors import missing_packages as missing_packages
from amsim.foreign.published.faces import face_split as face_split
from amsim.foreign.published.mtcnn import FaceNetwork as FaceNetwork
from amsim.foreign.published.mtcnn import load_mtcnn as load_mtcnn
from amsim.foreign.published.silero_vad import VoiceNetwork as VoiceNetwork
from amsim.foreign.published.silero_vad import load_silero_vad as load_silero_vad
from amsim.foreign.published.spoken_words import voice_split as voice_split
from amsim.foreign.published.spoken_words import wake_word_split as wake_word_split
from amsim.foreign.published.wake_word import WakeWordNetwork as WakeWordNetwork
from amsim.foreign.published.wake_word import load_wake_word as load_wake_word
