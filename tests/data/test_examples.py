"""Examples: every talker a target of the same audio, enrolled from other speech; silent targets; batches."""

from dataclasses import replace

import numpy as np
import pytest
from speech_folder import make_speech_folder
from tiny import TinyTokenizer
from voices import PitchEmbedder

from softspoken.backbones.tokens import WhisperTokens
from softspoken.data.batches import IGNORED, collate
from softspoken.data.channels import ChannelConfig
from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import Corpus, cut_into_pieces, is_development_talker, load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.levels import speech_power
from softspoken.data.manifest import read_manifest, read_texts, write_texts
from softspoken.data.mixing import draw_mixture, render
from softspoken.errors import DataError
from softspoken.speakers import FrameScores


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(cut_into_pieces(read_manifest(make_speech_folder(tmp_path_factory.mktemp("speech"))), 2.0, 9.0))


def dataset(corpus: Corpus, config: MixingConfig, **changes) -> MixtureDataset:
    embedder = PitchEmbedder()

    def scorer(audio, voices):
        return FrameScores.measure(embedder, audio, 0.8, 0.2).against(voices)

    texts = {piece.id: piece.text.title() for piece in corpus.pieces}
    given = {"texts": texts, "embed": embedder.embed, "scorer": scorer, "config": config, "seed": 3, "size": 20}
    return MixtureDataset(corpus, **{**given, **changes})


def test_the_same_index_gives_the_same_examples(corpus: Corpus) -> None:
    first = dataset(corpus, MixingConfig())[7]
    second = dataset(corpus, MixingConfig())[7]
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)
        np.testing.assert_array_equal(one.voice, other.voice)
        assert one.text == other.text
    assert not np.array_equal(first[0].audio, dataset(corpus, MixingConfig())[8][0].audio)


def test_every_talker_is_a_target_of_the_same_audio(corpus: Corpus) -> None:
    data = dataset(corpus, MixingConfig(talkers={2: 1.0}, silent_probability=0.0, noise_probability=0.0))
    for index in range(5):
        one, other = data[index]
        assert one.audio is other.audio
        assert one.speaker != other.speaker
        np.testing.assert_allclose(one.clean + other.clean, one.audio, atol=1e-5)
        assert not np.array_equal(one.voice, other.voice)
        assert one.scores.size == other.scores.size == int(np.ceil(one.audio.size / 320))


def test_a_silent_target_is_not_in_the_mixture_and_says_nothing(corpus: Corpus) -> None:
    data = dataset(corpus, MixingConfig(talkers={2: 1.0}, silent_probability=1.0))
    *present, absent = data[0]
    assert absent.text == ""
    assert not absent.clean.any()
    assert absent.speaker not in {example.speaker for example in present}


def test_where_everybody_is_in_the_mixture_nobody_is_absent(tmp_path) -> None:
    everybody = Corpus(cut_into_pieces(read_manifest(make_speech_folder(tmp_path, talkers=2)), 2.0, 9.0))
    data = dataset(everybody, MixingConfig(talkers={2: 1.0}, silent_probability=1.0))
    assert {len(data.drawn(index)[1]) for index in range(len(data))} == {2}


def test_the_enrolment_is_other_speech_of_the_talker(corpus: Corpus) -> None:
    heard: list[bytes] = []

    def remember(audio):
        heard.append(np.ascontiguousarray(audio).tobytes())
        return PitchEmbedder().embed(audio)

    data = dataset(corpus, MixingConfig(), embed=remember)
    target = corpus.pieces[0]
    data.voice(data.enrol(target, np.random.default_rng(0)))
    assert heard
    assert corpus.audio(target).tobytes() not in heard


def test_a_lone_piece_enrols_through_a_changed_crop(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=2, utterances=1)
    corpus = Corpus(cut_into_pieces(read_manifest(manifest), 2.0, 9.0))
    data = dataset(corpus, MixingConfig())
    vector = data.voice(data.enrol(corpus.pieces[0], np.random.default_rng(0))).vector
    own, other = (PitchEmbedder().embed(corpus.audio(piece)) for piece in corpus.pieces)
    assert vector @ own > vector @ other


def test_a_batch_has_labels_one_token_ahead_and_pads_what_is_missing(corpus: Corpus) -> None:
    vocabulary = WhisperTokens(TinyTokenizer(), TinyTokenizer().size)
    data = dataset(corpus, MixingConfig(talkers={2: 1.0}, silent_probability=1.0, timestamp_probability=0.0))
    batch = collate([data[0], data[1]], vocabulary, max_tokens=50)
    start = vocabulary.start()
    assert len(batch.texts) == batch.tokens.shape[0] == batch.labels.shape[0] == batch.voices.shape[0] == 6
    for text, tokens, labels in zip(batch.texts, batch.tokens.tolist(), batch.labels.tolist(), strict=True):
        wanted = vocabulary.encode(" " + text) if text else []
        assert tokens[: len(start) + len(wanted)] == start + wanted
        assert labels[: len(start) - 1] == [IGNORED] * (len(start) - 1)
        assert labels[len(start) - 1 : len(start) + len(wanted)] == [*wanted, vocabulary.end_of_text]
        assert set(labels[len(start) + len(wanted) :]) <= {IGNORED}


def test_timestamps_frame_the_words_where_the_target_speaks(corpus: Corpus) -> None:
    vocabulary = WhisperTokens(TinyTokenizer(), TinyTokenizer().size)
    mixing = MixingConfig(talkers={1: 1.0}, lead_s=(0.4, 0.4), silent_probability=1.0, timestamp_probability=1.0)
    batch = collate([dataset(corpus, mixing)[0]], vocabulary, max_tokens=50)
    present, absent = batch.tokens.tolist()
    start = vocabulary.start(timestamps=True)
    assert present[: len(start)] == start
    assert vocabulary.seconds(present[len(start)]) == pytest.approx(0.4, abs=0.05)
    last = [token for token in present if token >= vocabulary.timestamp_begin][-1]
    assert vocabulary.seconds(last) == pytest.approx(0.4 + 2.5, abs=0.1)
    # Nothing is said, so there is no time to give: the transcript ends where it begins.
    assert batch.labels[1].tolist()[: len(start)] == [IGNORED] * (len(start) - 1) + [vocabulary.end_of_text]
    assert set(absent[len(start) :]) == {vocabulary.end_of_text}


def test_development_talkers_never_train(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=30, utterances=1, seconds=2.0)
    config = DataConfig(speech=(manifest,))
    training, development = load_corpus(config).speakers, load_corpus(config, development=True).speakers
    assert len(training) + len(development) == 30
    assert not set(training) & set(development)
    assert all(is_development_talker(*name.split(":")) for name in development)


def test_texts_survive_the_disk_and_rejected_ones_are_no_targets(tmp_path) -> None:
    write_texts(tmp_path / "texts.jsonl", {"a": "Grüße, 3 pm.", "b": ""})
    assert read_texts(tmp_path / "texts.jsonl") == {"a": "Grüße, 3 pm."}
    assert read_texts(tmp_path / "texts.jsonl", rejected=True) == {"a": "Grüße, 3 pm.", "b": ""}
    with pytest.raises(DataError, match="data teach"):
        read_texts(tmp_path / "none.jsonl")


def test_one_talker_cannot_be_mixed(tmp_path) -> None:
    alone = Corpus(cut_into_pieces(read_manifest(make_speech_folder(tmp_path, talkers=1)), 2.0, 9.0))
    with pytest.raises(DataError, match="at least 2"):
        dataset(alone, MixingConfig())


def test_channels_change_how_talkers_sound_and_not_where_or_how_loud_they_are(corpus: Corpus) -> None:
    dry = draw_mixture(corpus, [], MixingConfig(talkers={2: 1.0}), np.random.default_rng(4))
    every = MixingConfig(talkers={2: 1.0}, channels=ChannelConfig(probability=1.0))
    wet = draw_mixture(corpus, [], every, np.random.default_rng(4))
    assert [(t.piece, t.offset_s, t.gain_db) for t in wet.tracks] == [
        (t.piece, t.offset_s, t.gain_db) for t in dry.tracks
    ]
    assert wet.tracks[0].channel != wet.tracks[1].channel
    mixed, alone = render(wet, corpus)
    np.testing.assert_allclose(mixed, alone.sum(axis=0), atol=1e-5)
    assert np.abs(alone - render(dry, corpus)[1]).max() > 1e-3
    levels = [10 * np.log10(speech_power(track)) for track in alone]
    assert levels[1] - levels[0] == pytest.approx(wet.tracks[1].gain_db, abs=0.5)


def test_another_recording_enrols_where_there_is_one(corpus: Corpus) -> None:
    pieces = corpus.by_speaker["made:s0"]
    same = replace(pieces[1], id="same", path=pieces[0].path)
    data = dataset(Corpus([pieces[0], same, pieces[2], *corpus.by_speaker["made:s1"]]), MixingConfig(), clips=True)
    for seed in range(5):
        clip = data.voice(data.enrol(pieces[0], np.random.default_rng(seed))).clip
        np.testing.assert_array_equal(clip, corpus.audio(pieces[2]))
    # A crop of the same recording is better than a changed copy of the piece.
    data = dataset(Corpus([pieces[0], same, *corpus.by_speaker["made:s1"]]), MixingConfig(), clips=True)
    np.testing.assert_array_equal(data.voice(data.enrol(pieces[0], np.random.default_rng(0))).clip, corpus.audio(same))
