"""Predictions are kept, the first one counts, and a class's files are read with care."""

import json
from pathlib import Path

import gate
import nbformat
import numpy as np
import pytest
import torch

import resnet_dynamics as rd
from resnet_dynamics import predictions, theory


@pytest.fixture(autouse=True)
def nothing_said(tmp_path, monkeypatch):
    """A cache of its own, and a kernel that has just started."""
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(predictions, "_SAID", [])


def restart(monkeypatch):
    monkeypatch.setattr(predictions, "_SAID", [])


@pytest.mark.parametrize("which", predictions.PREDICTIONS)
def test_every_question_can_be_answered(which):
    question = predictions.PREDICTIONS[which]
    right = question.right()
    assert right in question.words if question.words else np.all(np.asarray(right) > 0)
    rd.predict(which, right if question.words else np.mean(right))
    with pytest.raises(ValueError, match="said="):
        rd.predict(which, -1.0)
    (row,) = zip(*predictions.scores().columns.values())
    assert row[0] == which and row[1] == question.asks and row[-1] == "right"


def test_a_prediction_says_nothing_about_the_answer():
    kept = rd.predict("3.2", 7)
    assert repr(kept) == "Kept: the factor on |g| when w is multiplied by 10: 7."
    assert 'role="status"' in kept._repr_html_() and "&lt;" not in kept._repr_html_()
    assert "Say a number" in repr(rd.predict("3.1")) and "above, below" in repr(rd.predict("8.2", ...))
    assert len(predictions.scores().columns["said"]) == 1


def test_what_is_said_first_counts():
    rd.predict("3.2", 10)
    rd.predict("3.2", 10)
    assert repr(rd.predict("3.2", 0.1)).endswith("0.1. What you said first, 10, is what counts.")
    rd.predict("3.2", 0.1)
    assert predictions.scores().columns["said"] == ["10"] and predictions.scores().columns["score"] == ["× 100"]
    said = json.loads(predictions.hand_in("one.json", "A").read_text())["predictions"]
    assert [(one["said"], one["first"], round(one["factor"], 9)) for one in said] == [(10, True, 100), (0.1, False, 1)]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    (tmp_path / "class").mkdir()
    monkeypatch.chdir(tmp_path / "class")


def test_questions_of_two_parts():
    rd.predict("5.1", (torch.tensor(2**0.5), 2))
    assert predictions.scores().columns["score"] == ["right", "× 1.68"]
    assert repr(rd.predict("5.1")).count("Say a number") == 2
    with pytest.raises(ValueError, match="must be 2 answers, for 5.1a, 5.1b"):
        rd.predict("5.1", 1.4)


def test_a_word_may_be_written_as_one_likes():
    assert repr(rd.predict("5.2", "A  Third")).endswith(": a third.")
    assert repr(rd.predict("11.1a", "adamw")).endswith(": AdamW.")
    with pytest.raises(ValueError, match="said='3': must be one of three, a third"):
        rd.predict("5.2", "3")
    with pytest.raises(ValueError, match="which='5.9': must be one of 1.1, 2.1, "):
        rd.predict("5.9", 1.0)
    for bad in (True, np.inf, "ten", [1, 2], 0):
        with pytest.raises(ValueError, match="must be a number above 0, the factor on the loss"):
            rd.predict("3.1", bad)


def test_a_new_kernel_and_a_clear_cache_lose_nothing(monkeypatch):
    rd.predict("3.1", 1)
    restart(monkeypatch)
    for kind in rd.cache.KINDS:
        rd.cache.clear(kind)
    assert predictions.scores().columns["said"] == ["1"]


def test_without_a_cache_they_last_as_long_as_the_kernel(monkeypatch):
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", "/dev/null/none")
    for which in ("3.1", "3.2"):
        with pytest.warns(UserWarning, match="the cache"):
            rd.predict(which, 1)
    assert predictions.scores().columns["said"] == ["1", "1"]


def test_a_damaged_file_is_named():
    rd.predict("3.1", 1)
    path = predictions._place()
    path.write_bytes(b"[" + path.read_bytes())
    with pytest.warns(UserWarning, match="is damaged"):
        rd.predict("3.2", 1)
    assert predictions.scores().columns["said"] == ["1", "1"]


def test_scores_and_files_come_after_predictions():
    with pytest.raises(ValueError, match="must come after a prediction"):
        predictions.scores()
    with pytest.raises(ValueError, match="nothing to hand in"):
        predictions.hand_in("a.json", "Ada")
    with pytest.raises(ValueError, match="name=' '"):
        predictions.hand_in("a.json", " ")


def test_the_explorers_guesses_are_handed_in_too():
    explorer = rd.Explorer(lr=0.4, plan="smoke")
    explorer.guesses = [{"guess": 3.0, "theory": 2.0, "measured": None, "factor": 1.5}]
    path = predictions.hand_in("ada.json", "Ada", explorer=[explorer])
    assert json.loads(path.read_text())["guesses"] == explorer.guesses
    assert predictions.handed_in(".")[0]["name"] == "Ada"


def test_the_scores_are_those_of_the_equations():
    right = {key: predictions.PREDICTIONS[key].right() for key in predictions.PREDICTIONS}
    assert right["5.1a"] == pytest.approx(2**0.5) and right["5.1b"] == pytest.approx(2**0.25)
    assert (right["3.1"], right["3.2"], right["3.3"]) == pytest.approx((1, 0.1, 0.01))
    assert (right["7.1a"], right["7.1b"]) == pytest.approx((1, 0.5)) and right["8.1b"] == pytest.approx(19**0.5)
    assert right["4.4"][0] == theory.time_constant(4.0, 5e-4)
    low, high = right["7b.2"]
    scores = [predictions._score({"prediction": "7b.2", "said": said})["factor"] for said in (low / 2, 4.0, 2 * high)]
    assert scores == pytest.approx([2, 1, 2])


def test_what_was_measured_is_what_the_chapters_say():
    """The answers that no equation has; those of chapter 10 and 10b are computed from their tables."""
    right = {key: predictions.PREDICTIONS[key].right() for key in predictions.PREDICTIONS}
    text = {path.stem.lstrip("0").split("-")[0]: path.read_text(encoding="utf-8") for path in gate.CHAPTERS}
    assert f"by a factor of {right['9.2a']:g} at the start, and of {right['9.2b']:g} in the" in text["9"]
    assert "the decay of the rest costs the accuracy" in text["8b"] and "or a pooling that switches" in text["8b"]

    def loss(name, epoch=-1, **which):
        return rd.recorded(name).train_loss.isel(epoch=epoch).sel(which)

    sgd, lars = (loss("lars-ball", 0, optimizer=name) for name in ("sgd", "lars"))
    share = float((sgd - loss("early-start", 0)).mean() / (sgd - lars).mean())
    assert right["10.5"][0] < share < right["10.5"][1]
    assert loss("fresh-none").mean("seed").max() < loss("fresh-decay").mean() and right["10.1"] == "without decay"
    costs = {kind: float(loss("rest-decay", rest_decays=kind).mean()) for kind in ("gains", "offsets", "linear")}
    assert max(costs, key=costs.get) == right["10.2"]
    laws = {"AdamW": theory.adamw(1, 1e-3, 1), "Lion": theory.lion(1, 1e-3, 1), "Muon": theory.muon((8, 8), 1e-3, 1)}
    assert max(laws, key=lambda name: laws[name].update_rate) == right["11.1a"]


def class_of(*said, which="3.2"):
    """A folder with what so many students have said."""
    rd.predict(which, said[0])
    one = json.loads(predictions.hand_in("0.json", "Student 0").read_text())
    for i, value in enumerate(said):
        one |= {"name": f"Student {i}", "predictions": [{"prediction": which, "said": value, "at": ""}]}
        Path(f"{i}.json").write_text(json.dumps(one))


def test_a_class_is_read_one_file_a_name_and_bad_ones_are_named():
    class_of(0.1, 10, 1)
    again = json.loads(Path("1.json").read_text())
    later = {**again, "name": "student 1", "written": "2100-01-01", "predictions": []}
    odd = {"again.json": json.dumps(later), "broken.json": "{", "list.json": "[]", "text.json": "\xff",
           "next.json": json.dumps({**again, "version": 2}), "nobody.json": json.dumps({**again, "name": ""}),
           "wrong.json": json.dumps({**again, "predictions": [{"prediction": "3.2", "said": "ten"}]}),
           "other.json": json.dumps({**again, "predictions": ["3.2"]})}  # fmt: skip
    for name, text in odd.items():
        Path(name).write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning) as warned:
        found = predictions.handed_in(".")
    assert {str(one.message).split(": ")[0] for one in warned} == {*odd} - {"again.json"}
    assert [one["name"] for one in found] == ["Student 0", "student 1", "Student 2"]
    assert found[0]["predictions"][0]["factor"] == pytest.approx(1) and found[1]["predictions"] == []
    assert [one["name"] for one in predictions.handed_in(["0.json"])] == ["Student 0"]
    with pytest.raises(ValueError, match="at least one file"):
        predictions.handed_in("nowhere")


def test_the_histogram_has_everybody_once_and_the_answer():
    class_of(0.1, 0.1, 10, 1, 1e-3)
    ax = predictions.histogram("3.2", ".")
    assert sum(bar.get_height() for bar in ax.patches) == 5 and ax.get_ylabel() == "answers, of 5"
    assert ax.lines[0].get_xdata()[0] == pytest.approx(np.log2(0.1))
    tallest = max(ax.patches, key=lambda bar: bar.get_height())
    assert tallest.get_x() < np.log2(0.1) < tallest.get_x() + tallest.get_width()
    with pytest.raises(ValueError, match="somebody has answered"):
        predictions.histogram("3.1", ".")


def test_the_histogram_of_words():
    class_of("above", "below", "below", which="8.2")
    ax = predictions.histogram("8.2", ".")
    assert [(bar.get_height(), bar.get_facecolor()[0]) for bar in ax.patches] == [(1, 0), (2, 0.75)]


@pytest.mark.parametrize("chapter", sorted({which.split(".")[0] for which in predictions.PREDICTIONS}))
def test_a_chapter_asks_for_its_predictions_below_the_questions(chapter):
    """In its notebook; on the page there is no place to answer."""
    path = next(path for path in gate.CHAPTERS if path.stem.lstrip("0").startswith(f"{chapter}-"))
    cells = nbformat.read(path, as_version=4).cells
    asked = next(i for i, cell in enumerate(cells) if cell.id == f"keep-{chapter}")
    assert cells[asked - 1].source.startswith("## A prediction") and cells[asked].metadata.tags == ["remove-cell"]
    lines = [f'print(predict("{which}", None))  # {one.asks}'
             for which, one in predictions.PREDICTIONS.items() if which.split(".")[0] == chapter]
    assert cells[asked].source.splitlines()[3:] == lines
