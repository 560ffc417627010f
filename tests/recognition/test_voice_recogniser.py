"""The voice cascade on real speech: mixtures as a product, what each stage sees, thresholds and speakers."""

import jax
import numpy as np
import pytest
from scipy import special, stats

import amsim
from amsim import recognition
from amsim.datasets.spoken_digits import recordings_with_speakers
from amsim.recognition.mixtures import product_form, speaker_log_likelihoods
from amsim.recognition.recogniser import thresholds_for_recall
from amsim.recognition.voices import DETECTOR, WORDS, VoiceNetworks, mixture_chip

OWNER = 2


@pytest.fixture(scope="module")
def recordings():
    return recordings_with_speakers()


@pytest.fixture(scope="module")
def mixtures(recordings):
    training, _ = recordings
    some = training.part(np.arange(len(training.digits)) % 4 == 0)
    return recognition.fit_mixtures(some.inputs, some.speakers, gaussians=4)


@pytest.fixture(scope="module")
def recogniser(recordings, mixtures):
    """Networks that were never trained; every 20th training and every 6th test recording."""
    choosing, test = (
        one.part(np.arange(len(one.digits)) % each == 0) for one, each in zip(recordings, (20, 6), strict=True)
    )
    random = [network.initial_params(jax.random.key(0)) for network in (DETECTOR, WORDS)]
    return recognition.voice_recogniser(VoiceNetworks(*random, mixtures, (0, 7), None, choosing, test), OWNER)


def test_recordings_are_those_of_the_data_set(recordings):
    data = amsim.load_dataset("spoken-digits")
    training, test = recordings
    np.testing.assert_array_equal(training.inputs, data.train.inputs)
    np.testing.assert_array_equal(test.digits, data.test.labels)
    new = amsim.load_dataset("spoken-digits-new-speaker-3")
    assert (np.concatenate([training.speakers, test.speakers]) == 3).sum() == len(new.test)


def test_features_of_a_new_speaker_do_not_count_for_the_scale(recordings):
    training, _ = recordings_with_speakers(new_speaker=3)
    others = training.inputs[training.speakers != 3]
    frames = others[np.any(others != 0, axis=2)]
    # 2 % of the recordings are longer than what is kept of them.
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=0.02)
    assert np.abs(frames.mean(axis=0)).max() < np.abs(training.inputs[training.speakers == 3].mean((0, 1))).max()


def test_product_is_the_density_of_a_mixture():
    """Against SciPy, Gaussian by Gaussian."""
    rng = np.random.default_rng(0)
    shares, means, variances = rng.dirichlet(np.ones(3)), rng.normal(size=(3, 5)), rng.uniform(0.1, 2, (3, 5))
    frames = rng.normal(size=(2, 6, 5)).astype(np.float32)
    kernel, offset = product_form(shares, means, variances)
    params = {"kernel": kernel.astype(np.float32), "offset": offset.astype(np.float32), "speakers": np.array([4])}
    terms = [
        np.log(share) + stats.multivariate_normal(mean, np.diag(variance)).logpdf(frames)
        for share, mean, variance in zip(shares, means, variances, strict=True)
    ]
    expected = special.logsumexp(terms, axis=0).mean(axis=1)
    np.testing.assert_allclose(speaker_log_likelihoods(params, frames)[:, 0], expected, rtol=1e-4)
    # Silence before a recording is no frame of it.
    padded = np.concatenate([np.zeros((2, 3, 5), np.float32), frames], axis=1)
    np.testing.assert_allclose(speaker_log_likelihoods(params, padded)[:, 0], expected, rtol=1e-4)


def test_fitting_raises_the_likelihood_and_tells_speakers_apart(recordings, mixtures):
    _, test = recordings
    chip = mixture_chip(mixtures)
    found = np.asarray(chip(test.inputs[:120]))
    reference = np.asarray(speaker_log_likelihoods(mixtures, test.inputs[:120]))
    assert 0 < np.abs(found - reference).mean() < 0.3
    assert (found.argmax(axis=1) + 1 == test.speakers[:120]).mean() > 0.9


def test_each_stage_sees_what_the_one_before_passed(recogniser):
    result = amsim.evaluate_cascade(recogniser.cascade, recogniser.test)
    quality = recognition.stage_quality(recogniser)
    passes = quality["score"].values > quality["threshold"].values[:, None]
    reach = np.logical_and.accumulate(passes, axis=0)
    assert result["computed"].values.tolist() == [100, *reach[:-1].sum(axis=1)]
    np.testing.assert_array_equal(result["decision"], reach[-1])
    assert result["computed"][0] > result["computed"][1] > result["computed"][2]
    own = quality["own_label"].sel(stage="speaker identification").values == 1
    assert float(quality["recall"][2]) == passes[2][own].mean()
    assert float(quality["recall_low"][2]) <= float(quality["recall"][2]) <= float(quality["recall_high"][2])
    # An event is a wake word of the owner.
    np.testing.assert_array_equal(recogniser.test.labels, quality["own_label"][0].values * own)


def test_thresholds_pass_as_many_as_asked(recogniser):
    labels, cascade = recogniser.choosing_stages, recogniser.cascade
    scores = amsim.cascade.all_scores(cascade, recogniser.choosing.inputs)
    for recall in (0.5, 0.95, 1.0):
        found = thresholds_for_recall(cascade, recogniser.choosing.inputs, labels, recall)
        for name, one, threshold in zip(cascade.names, scores, found, strict=True):
            events = one[labels[name] == 1]
            passing = np.sort(events[events > threshold])
            # More only where scores are equal: those of an integer product often are.
            needed = int(np.ceil(recall * len(events) - 1e-9))
            assert len(passing) >= needed
            assert passing[-needed] - passing[0] < 1e-5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"wake_words": (0, 10)}, "`wake_words` must be some of the digits"),
        ({"wake_words": ()}, "`wake_words` must be some of the digits"),
        ({"new_speaker": 7}, "`new_speaker`"),
        ({"gaussians": 0}, "`gaussians`"),
    ],
)
def test_wrong_settings_are_refused_before_training(wrong, message):
    with pytest.raises(ValueError, match=message):
        recognition.train_voice_networks(**wrong)


def test_an_unknown_owner_is_refused(recordings, mixtures):
    networks = VoiceNetworks({}, {}, mixtures, (0,), None, *recordings)
    with pytest.raises(ValueError, match="`owner`"):
        recognition.voice_recogniser(networks, 0)
