"""Cascades whose stages are trained on real speech and real faces."""

from amsim.recognition.faces import FirstFaceStage as FirstFaceStage
from amsim.recognition.faces import face_recogniser as face_recogniser
from amsim.recognition.faces import first_stage_hardware as first_stage_hardware
from amsim.recognition.faces import train_first_face_stage as train_first_face_stage
from amsim.recognition.mixtures import fit_mixtures as fit_mixtures
from amsim.recognition.mixtures import speaker_log_likelihoods as speaker_log_likelihoods
from amsim.recognition.quality import Difference as Difference
from amsim.recognition.quality import auc_difference as auc_difference
from amsim.recognition.quality import stage_quality as stage_quality
from amsim.recognition.recogniser import Recogniser as Recogniser
from amsim.recognition.speakers import SpeakerReport as SpeakerReport
from amsim.recognition.speakers import speaker_report as speaker_report
from amsim.recognition.voices import VoiceNetworks as VoiceNetworks
from amsim.recognition.voices import train_voice_networks as train_voice_networks
from amsim.recognition.voices import voice_recogniser as voice_recogniser
