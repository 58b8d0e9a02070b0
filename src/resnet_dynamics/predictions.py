"""Predictions, made before a chapter gives the answer: kept, scored, handed in as one JSON file, and drawn of a class.

    rd.predict("3.2", 0.1)                     # kept, and nothing is said
    rd.predictions.scores()                   # what was right; only of what has been predicted
    rd.predictions.hand_in("ada.json", "Ada")
    rd.predictions.histogram("3.2", "handed-in")

What is said first counts; what is said later is kept as well. They lie in the cache (`cache.cache_dir`), not in the
notebook, so all notebooks have the same ones and a new kernel loses none; in Colab `RESNET_DYNAMICS_CACHE` on a mounted
drive keeps them for the next session. The explorer asks for guesses of its own, of any setting and by the same score;
they are handed in with the others.
"""

from __future__ import annotations

import datetime
import html
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import cache, questions, theory
from .answers import Refused, read
from .console import warn
from .tables import Table, table

__all__ = ["PREDICTIONS", "Kept", "Prediction", "hand_in", "handed_in", "histogram", "predict", "scores"]

FORMAT = "resnet-dynamics predictions"
VERSION = 1  # of the file that is handed in


class Prediction(NamedTuple):
    """What is asked before a chapter begins."""

    asks: str
    right: Callable  # → a number; the two ends of what was measured; or a word
    words: tuple[str, ...] = ()  # that can be said; none: a number above 0


def _norm_factor(lr=1.0, weight_decay=1.0):
    return theory.equilibrium_norm(1.0, lr, 1e-3 * weight_decay) / theory.equilibrium_norm(1.0, 1.0, 1e-3)


def _rate_factor(lr):
    return theory.lars_rate(lr, 1e-3) / theory.lars_rate(1.0, 1e-3)


def _tenfold(which):
    return float(questions.scaling().right(10.0)[which])


# The keys are chapter and number of "A prediction", with a letter where two things are asked.
PREDICTIONS = {
    "1.1": Prediction("|w| at the end, compared with the start", lambda: "larger", ("smaller", "larger")),
    "2.1": Prediction("the factor on λ when N is doubled", lambda: 2.0),
    "2.2": Prediction("the factor on λ when 1 − ρ is halved", lambda: 0.5),
    "2.3": Prediction("the factor on λ when α is doubled", lambda: (0.5, 2**-0.7)),  # a balance; the slice's slope
    "3.1": Prediction("the factor on the loss when w is multiplied by 10", lambda: _tenfold(0)),
    "3.2": Prediction("the factor on |g| when w is multiplied by 10", lambda: _tenfold(1)),
    "3.3": Prediction("the factor on the angle of a step when w is multiplied by 10", lambda: _tenfold(2)),
    "4.1": Prediction("|w|² in the very first steps", lambda: "down", ("up", "down")),
    "4.2": Prediction("|w|² after warm-up", lambda: "higher", ("lower", "the same", "higher")),
    "4.3": Prediction("|w|² in the last epochs", lambda: "falls", ("falls", "stays", "rises")),
    "4.4": Prediction("the steps that a norm takes to respond", lambda: (theory.time_constant(4.0, 5e-4), 250.0)),
    "5.1a": Prediction("the factor on λ|g|/|w| when λ is doubled", lambda: _rate_factor(2.0)),
    "5.1b": Prediction("the factor on |w| when λ is doubled", lambda: _norm_factor(2.0)),
    "5.2": Prediction("which is first: from three times, or from a third", lambda: "a third", ("three", "a third")),
    "5b.1": Prediction("the measured side at the end", lambda: "below", ("above", "below")),
    "5b.2": Prediction("the first to lose the balance", lambda: "cosine", ("linear", "cosine", "last fifth")),
    "6.1a": Prediction("the factor on the angle of SGD when w is multiplied by 10", lambda: _tenfold(2)),
    "6.1b": Prediction("the factor on the angle of LARS when w is multiplied by 10", lambda: 1.0),
    "6.2": Prediction("the curves that are alike", lambda: "loss", ("loss", "norms", "both")),
    "7.1a": Prediction("the factor on Σθ² with kN and kλ", lambda: _rate_factor(4.0) ** 2 / 4),
    "7.1b": Prediction("the factor on Σθ² with 4N and 2λ", lambda: _rate_factor(2.0) ** 2 / 4),
    "7.2a": Prediction("the mean cosine in mid-training", lambda: "negative", ("positive", "zero", "negative")),
    "7.2b": Prediction("the mean cosine in the first steps", lambda: "positive", ("positive", "zero", "negative")),
    "7b.1a": Prediction("the cosine at the same weights", lambda: "positive", ("positive", "zero", "negative")),
    "7b.1b": Prediction("the share of a step at which the cosine crosses zero", lambda: 0.5),
    "7b.2": Prediction("the factor by which χ is smaller with momentum", lambda: (3.9, 5.5)),
    "8.1a": Prediction("the run whose updates are longer", lambda: "without momentum",
                       ("with momentum", "without momentum")),
    "8.1b": Prediction("the longer update over the shorter one",
                       lambda: theory.update_rate(4.0, 5e-4) / theory.update_rate(0.4, 5e-4, 0.9)),
    "8.2": Prediction("measured λ|g|/|w|, compared with theory", lambda: "above", ("above", "below")),
    "8.3": Prediction("the way to equilibrium at ρ = 0.99", lambda: "another way",
                      ("as fast", "more slowly", "another way")),
    "8b.2": Prediction("what costs accuracy, of decay and λ of the rest, and the start", lambda: "decay",
                       ("decay", "λ", "the start")),
    "8b.3": Prediction("what drives the two apart", lambda: "switches", ("rounding", "ε", "switches")),
    "9.2a": Prediction("the largest |g|/|w| over the smallest at the first steps", lambda: 48.0),
    "9.2b": Prediction("the largest |g|/|w| over the smallest in the middle", lambda: 2.2),
    "9.4": Prediction("whether one run for each λ shows the best λ", lambda: "no", ("yes", "no")),
    "10.1": Prediction("the network with the lower training loss", lambda: "without decay",
                       ("with decay", "without decay")),
    "10.2": Prediction("the kind whose decay costs most", lambda: "gains", ("gains", "offsets", "linear layer")),
    "10.3": Prediction("why LARS leads in the first epoch", lambda: "lengthens", ("clips", "lengthens")),
    "10.4": Prediction("whether it trains as SGD does", lambda: "yes", ("yes", "no")),
    "10.5": Prediction("its gain in the first epoch over that of LARS", lambda: (0.17, 0.23)),
    "10b.1": Prediction("the training loss, if the two noisy layers turn at half their rate", lambda: "better",
                        ("better", "worse")),
    "10b.4": Prediction("the least dependent on the draw", lambda: "with decay",
                        ("with decay", "without decay", "fixed norms")),
    "11.1a": Prediction("the largest angle in one step", lambda: "AdamW", ("AdamW", "Lion", "Muon")),
    "11.1b": Prediction("the largest angle in a thousand steps", lambda: "all alike",
                        ("AdamW", "Lion", "Muon", "all alike")),
    "11.2": Prediction("for which the length depends on the size of the gradients", lambda: "none",
                       ("AdamW", "Lion", "Muon", "none")),
    "11.3": Prediction("|g| at the end", lambda: "rises", ("falls", "stays", "rises")),
    "11.4": Prediction("the factor on α", lambda: 2.0),
    "11b.1a": Prediction("what can be doubled by itself in the pre-norm network", lambda: "none",
                         ("none", "q and k", "v, o and down", "all")),
    "11b.1b": Prediction("what can be doubled by itself with QK-norm", lambda: "q and k",
                         ("none", "q and k", "v, o and down", "all")),
    "11b.1c": Prediction("what can be doubled by itself with branch norms", lambda: "v, o and down",
                         ("none", "q and k", "v, o and down", "all")),
}  # fmt: skip


class Kept:
    """What `predict` returns: what was kept, without a word on whether it is right."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        lines = html.escape(self.text, quote=False).replace("\n", "<br>")
        return f'<p class="rd-verdict" role="status">{lines}</p>'


_SAID: list[dict] = []  # of this process, where the cache cannot be written


def predict(which: str, said=...) -> Kept:
    """Keep a prediction; without one, say what is asked for.

    Args:
        which: as in "3.2": chapter 3, the second question of its section *A prediction*. Where two things are asked it
            is "5.1", and both are said, (1.4, 1.2), or "5.1a" and "5.1b". (The numbers of exercises are another matter,
            see `check.number`.)
        said: a number above 0, or one of the words that `PREDICTIONS` has.

    Raises:
        ValueError: there is no such question, or this is no answer to it.
    """
    if parts := [key for key in PREDICTIONS if key[:-1] == which]:
        every = [...] * len(parts) if said is None or said is ... else said
        if np.ndim(every) != 1 or len(every) != len(parts):
            raise ValueError(f"said={said!r}: must be {len(parts)} answers, for {', '.join(parts)}")
        return Kept("\n".join(str(predict(part, one)) for part, one in zip(parts, every)))
    question = _question(which)
    if said is None or said is ...:
        takes = f"one of {', '.join(question.words)}" if question.words else "a number"
        return Kept(f"{which}: {question.asks}. Say {takes}: rd.predict({which!r}, ...)")
    value = _word(which, said) if question.words else _number(which, said)
    with cache.call(), cache.turn(_place()):
        entries = _entries()
        before = [one["said"] for one in entries if one["prediction"] == which]
        if not before or before[-1] != value:  # a cell that runs again says nothing new
            entries.append({"prediction": which, "said": value, "at": _now()})
            _SAID[:] = entries
            cache.remember(_place(), json.dumps(entries, ensure_ascii=False).encode())
    changed = f" What you said first, {_shown(before[0])}, is what counts." if before and before[0] != value else ""
    return Kept(f"Kept: {question.asks}: {_shown(value)}.{changed}")


def scores() -> Table:
    """Return what was predicted, what was right, and the factor between the two; of what has been predicted alone."""
    rows = [{**one, **_score(one)} for one in _entries() if one["first"]]
    if not rows:
        raise ValueError("scores(): must come after a prediction, as rd.predict('3.1', ...)")
    return table({
        "": [row["prediction"] for row in rows], "asked": [PREDICTIONS[row["prediction"]].asks for row in rows],
        "said": [_shown(row["said"]) for row in rows], "right": [_shown(row["right"]) for row in rows],
        "score": ["no" if row["factor"] is None else f"× {row['factor']:.3g}" if row["factor"] > 1.02 else "right"
                  for row in rows],
    }, "Predictions as they were said first. The score of a number is the factor by which it is off.")  # fmt: skip


def hand_in(path, name: str, *, explorer=None) -> Path:
    """Write one JSON file with all predictions, their times and scores; return its path. It replaces an older one.

        {"format": "resnet-dynamics predictions", "version": 1, "package": ..., "name": ..., "written": ...,
         "predictions": [{"prediction", "said", "at", "first", "right", "factor"}, ...], "guesses": [...]}

    Args:
        path: of the file, as "ada.json".
        name: who hands it in.
        explorer: an `Explorer`, or several, whose guesses are handed in with them; each has guess, theory, measured and
            factor.

    Raises:
        ValueError: there is no name, or nothing to hand in.
        OSError: the file cannot be written.
    """
    from . import __version__

    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name={name!r}: must be the name of who hands it in")
    explorers = explorer if isinstance(explorer, (list, tuple)) else [explorer] if explorer is not None else []
    entries, guesses = _entries(), [guess for one in explorers for guess in one.guesses]
    if not entries and not guesses:
        raise ValueError("nothing to hand in: must come after a prediction, as rd.predict('3.1', ...)")
    whole = [{**one, **_score(one)} for one in entries]
    content = {"format": FORMAT, "version": VERSION, "package": __version__, "name": name.strip(), "written": _now(),
               "predictions": whole, "guesses": guesses}  # fmt: skip
    path = Path(path)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def handed_in(files) -> list[dict]:
    """Return what a class has handed in, one a name: of two files of one name that which was written last.

    Args:
        files: a folder, whose *.json are taken, or a list of paths.

    What is no such file, or not whole, is left out and named in a warning. Scores are computed anew.

    Raises:
        ValueError: there is none.
    """
    paths = sorted(Path(files).glob("*.json")) if isinstance(files, (str, Path)) else [Path(one) for one in files]
    found = {}
    for path in paths:
        try:
            one = _checked(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:  # no JSON, no text, or not as hand_in writes it
            warn(f"{path}: is left out ({' '.join(str(error).split())})")
            continue
        key = one["name"].casefold()
        if key not in found or found[key]["written"] <= one["written"]:
            found[key] = one
    if not found:
        raise ValueError(f"files={str(files)!r}: must have at least one file of hand_in, as *.json")
    return sorted(found.values(), key=lambda one: one["name"].casefold())


def histogram(which: str, files, ax=None):
    """Draw what a class has predicted, each as it was said first, and what is right. Return the axes.

    Args:
        which: as `predict` has it.
        files: as `handed_in` has them.
        ax: axes to draw on; None makes them.
    """
    from . import plots
    from .style import dress

    question = _question(which)
    said = [one["said"] for each in handed_in(files) for one in each["predictions"]
            if one["prediction"] == which and one["first"]]  # fmt: skip
    if not said:
        raise ValueError(f"which={which!r}: must be a question that somebody has answered")
    ax = dress(plots.figure(figsize=(6, 2.8))[1] if ax is None else ax)
    right = question.right()
    if question.words:
        counts = [said.count(word) for word in question.words]
        ax.bar(question.words, counts, color=["black" if word == right else "0.75" for word in question.words])
        ax.set_xlabel(f"{question.asks}; black: right")
    else:
        octaves = np.log2([*said, *np.atleast_1d(right)])
        low, high = math.floor(octaves.min() * 2) / 2 - 0.25, math.ceil(octaves.max() * 2) / 2 + 0.5
        ax.hist(np.log2(said), np.arange(low, high + 0.25, 0.5), color="0.75", edgecolor="white")
        for end in np.atleast_1d(right):
            ax.axvline(np.log2(end), color="black")
        ticks = np.unique(np.round(np.linspace(low, high, 7)))
        ax.set_xticks(ticks, [f"{2**tick:.3g}" for tick in ticks])
        ax.set_xlabel(f"{question.asks}; line: right")
    ax.set_ylabel(f"answers, of {len(said)}")
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax


# What can be said, and where it is kept
def _question(which):
    if which not in PREDICTIONS:
        raise ValueError(f"which={which!r}: must be one of {', '.join(PREDICTIONS)}")
    return PREDICTIONS[which]


def _word(which, said):
    words = {word.casefold(): word for word in PREDICTIONS[which].words}
    if not isinstance(said, str) or (key := " ".join(said.split()).casefold()) not in words:
        raise ValueError(f"said={said!r}: must be one of {', '.join(words.values())}")
    return words[key]


def _number(which, said):
    try:
        value = float(read(said))
    except Refused:
        value = math.nan
    if isinstance(said, bool) or not value > 0:
        raise ValueError(f"said={said!r}: must be a number above 0, {PREDICTIONS[which].asks}")
    return value


def _place():
    return cache.cache_dir() / "predictions" / "predictions.json"


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _entries() -> list[dict]:
    """All that has been said, in order, and whether it was the first word on its question."""
    kept = None
    try:
        kept = cache.recall(_place())
        entries = json.loads(kept) if kept else [*_SAID]
    except ValueError:  # damaged, or no JSON
        warn(f"{_place()}: is damaged, and what it had is lost, but for what was said since this kernel started")
        entries = [*_SAID]
    return _with_first([{name: one[name] for name in ("prediction", "said", "at")} for one in entries])


def _with_first(entries):
    seen = set()
    return [{**one, "first": not (one["prediction"] in seen or seen.add(one["prediction"]))} for one in entries]


def _score(one):
    """What was right, and the factor by which a number is off: 1 inside of what was measured; of a word 1 or None."""
    right = PREDICTIONS[one["prediction"]].right()
    if isinstance(right, str):
        return {"right": right, "factor": 1.0 if one["said"] == right else None}
    low, high = (float(end) for end in np.broadcast_to(right, 2))
    factor = max(one["said"] / high, low / one["said"], 1.0)
    return {"right": low if low == high else [low, high], "factor": factor}


def _shown(value):
    if isinstance(value, list):
        return " to ".join(map(_shown, value))
    return value if isinstance(value, str) else f"{value:.3g}"


def _checked(content):
    """A file that was handed in, with its scores computed anew; ValueError where it is none."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("it is no file of hand_in")
    if content.get("version") != VERSION:
        raise ValueError(f"its version is {content.get('version')!r}, and {VERSION} is known")
    name, written, said = (content.get(key) for key in ("name", "written", "predictions"))
    if not (isinstance(name, str) and name.strip() and isinstance(written, str) and isinstance(said, list)):
        raise ValueError("name, written or predictions are not as hand_in writes them")
    entries = []
    for one in said:
        if not isinstance(one, dict) or one.get("prediction") not in PREDICTIONS:
            raise ValueError(f"{one!r:.60} is no prediction")
        which = one["prediction"]
        take = _word if PREDICTIONS[which].words else _number
        entries.append({"prediction": which, "said": take(which, one.get("said")), "at": str(one.get("at", ""))})
    return {**content, "predictions": [{**one, **_score(one)} for one in _with_first(entries)]}
