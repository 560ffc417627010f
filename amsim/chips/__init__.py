"""Published chips as accelerators; each docstring states what is published, assumed, recalled and calibrated."""

from amsim.chips.asilomar import asilomar2017 as asilomar2017
from amsim.chips.audio import keyword_and_speaker_network as keyword_and_speaker_network
from amsim.chips.audio import laika2018 as laika2018
from amsim.chips.audio import vocell2019 as vocell2019
from amsim.chips.binary import bankman2018 as bankman2018
from amsim.chips.binary import binareye2018 as binareye2018
from amsim.chips.charge_domain import c3sram2020 as c3sram2020
from amsim.chips.charge_domain import jia2020 as jia2020
from amsim.chips.charge_domain import jia2021 as jia2021
from amsim.chips.charge_domain import valavi2019 as valavi2019
from amsim.chips.envision import envision2016 as envision2016
from amsim.chips.envision import envision2017 as envision2017
from amsim.chips.word_length import with_word_length as with_word_length
from amsim.chips.word_length import with_word_lengths as with_word_lengths
