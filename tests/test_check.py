"""Checks of answers: what is right passes, each known mistake has a hint of its own, and a stub is told kindly."""

import ast
import itertools
import re
from fractions import Fraction

import gate
import nbformat
import numpy as np
import pytest
import small
import torch
import xarray as xr
from IPython.core.interactiveshell import InteractiveShell

import resnet_dynamics as rd
from resnet_dynamics import answers, check, exercises, further_questions, optimizer_answers, questions, theory
from resnet_dynamics import network_answers as groups
from resnet_dynamics.answers import NotYet, Verdict

# Each public check of a function, and what it asks.
TASKS = {
    "scaling": (check.scaling, questions.scaling()),
    "norm_step": (check.norm_step, questions.norm_step()),
    "symmetry": (check.symmetry, questions.symmetry()),
    "recurrence": (check.recurrence, questions.recurrence()),
    "equilibrium_norm": (check.equilibrium_norm, questions.equilibrium_norm(True)),
    "time_constant": (check.time_constant, questions.time_constant(True)),
    "equilibrium_lost": (check.equilibrium_lost, questions.equilibrium_lost(True)),
    "noise": (check.noise, further_questions.noise()),
    "top": (check.top, further_questions.top()),
    "adamw": (check.adamw, further_questions.adamw()),
    "muon": (check.muon, further_questions.muon()),
    **{length: (lambda f, length=length: check.rate(f, length=length), questions.rate(length, True))
       for length in ("fresh", "update", "whole")},
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", TASKS)
ALL_MISTAKES = [(name, which, hint) for name, (_, task) in TASKS.items()
                for which, question in enumerate(task.questions) for hint in question.wrong]  # fmt: skip


def answered(task, change):
    """A function whose parts are what `change` makes of the right ones and the arguments."""

    def function(*values):
        parts = [change(which, question, values) for which, question in enumerate(task.questions)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    return function


KINDS = {
    "float": lambda x: np.asarray(x, float).tolist(),
    "numpy": np.asarray,
    "float32": lambda x: np.asarray(x, np.float32),
    "xarray": xr.DataArray,
    "torch": lambda x: torch.tensor(np.asarray(x, float), requires_grad=True),
}


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_passes_whatever_library_it_is_of(name, kind):
    asked, task = TASKS[name]
    assert asked(answered(task, lambda _, question, values: KINDS[kind](question.right[0](*values))))


@EVERY
def test_the_leading_order_and_the_exact_law_are_both_right(name):
    asked, task = TASKS[name]
    for i in range(max(len(question.right) for question in task.questions)):
        assert asked(answered(task, lambda _, question, values, i=i: question.right[i % len(question.right)](*values)))


@pytest.mark.parametrize("name, which, hint", ALL_MISTAKES, ids=lambda value: str(value)[:40])
def test_each_mistake_has_its_own_hint(name, which, hint):
    asked, task = TASKS[name]

    def change(i, question, values):
        return (question.wrong[hint] if i == which else question.right[0])(*values)

    found = asked(answered(task, change))
    assert not found and found.says.removeprefix(f"{task.questions[which].name}: ") == hint


@EVERY
def test_no_two_hints_are_the_same_function(name):
    """Nor is one of them the right one: to a part in a thousand, at the settings at which a function is tried."""
    task = TASKS[name][1]
    rng = np.random.default_rng(6)
    settings = [task.draw(rng) for _ in range(answers.SETTINGS)]
    for question in task.questions:
        functions = {"right": question.right[0], **question.wrong}
        with np.errstate(all="ignore"):
            found = {hint: [f(*values) for values in settings] for hint, f in functions.items()}
        for one, other in itertools.combinations(found, 2):
            assert not all(answers.same(a, b, 1e-3) for a, b in zip(found[one], found[other])), (one, other)


@EVERY
def test_a_stub_is_told_kindly(name):
    asked, task = TASKS[name]

    def raises(*values):
        raise NotImplementedError

    parts = len(task.questions)
    for stub in (lambda *values: None, lambda *values: ..., raises, None, ..., lambda *values: (None,) * parts):
        assert not asked(stub) and asked(stub).says == answers.EMPTY


@EVERY
def test_one_number_for_all_settings_is_refused(name):
    asked, task = TASKS[name]
    rng = np.random.default_rng(6)
    first = task.right(*task.draw(rng))
    found = asked(lambda *values: first)
    assert not found and ("at every setting" in found.says or task.series)


def test_the_right_answers_are_those_of_the_equations():
    """What has no function in `theory` follows from one that has."""
    r, lr, a = 3.0, 0.4, 0.02
    other = questions.symmetry().right(r, lr, a)
    path = theory.norm_recurrence(2.0, 1.3, np.full(9, lr), a)
    assert np.allclose(theory.norm_recurrence(r**2 * 2.0, 1.3, np.full(9, other[0]), other[1]), r**2 * path)
    assert np.allclose(questions.scaling().right(r), (1, 1 / r, 1 / r**2))
    w, g = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.1, -0.4])
    after = w - lr * (g + a * w)
    assert np.isclose(questions.norm_step().right(w @ w, g @ g, w @ g, lr, a), after @ after)
    assert np.allclose(further_questions.noise().right(2 + 30 / 16, 16, 2 + 30 / 64, 64), (2, 30))


@pytest.mark.parametrize("law, said", [
    (lambda c, lr, a, rho: 3 * theory.equilibrium_norm(c, lr, a, rho), "a constant factor"),
    (lambda c, lr, a, rho: -theory.equilibrium_norm(c, lr, a, rho), "sign"),
    (lambda c, lr, a, rho: 1.001 * theory.equilibrium_norm(c, lr, a, rho), "close"),
    (lambda c, lr, a, rho: np.sqrt(c) * (lr * a) ** 0.25, "unit"),
    (lambda c, lr, a, rho: c * theory.equilibrium_norm(c, lr, a, rho), "does not change with c as"),
    (lambda c, lr, a, rho: theory.equilibrium_norm(c, lr, a, rho) * (1 + rho), "does not change with momentum as"),
    (lambda c, lr, a, rho: theory.equilibrium_norm(c, lr, a, rho, exact=True) ** 2, "the square"),
    (lambda c, lr, a, rho: (1 - rho) * lr**1.5 * a, "hardly anything"),
    (lambda c, lr, a, rho: np.ceil(theory.equilibrium_norm(c, lr, a, rho)), "rounded"),
    (lambda c, lr, a, rho: 5.0, "the same number"),
    (lambda c, lr, a, rho: (1 - rho) * np.log(c - 100), "somewhere"),
    (lambda c, lr, a, rho: (c - 100) ** 0.5, "complex"),
    (lambda c, lr, a, rho: [c, lr], "single number"),
    (lambda c, lr, a, rho: "norm", "of type str"),
    (lambda c, lr, a, rho: c / 0, "division by zero) at c="),
    (lambda c, lr: c, "takes (c, lr): it must take (c, lr, weight_decay, momentum)"),
    (2.0, "hand over the function itself"),
])  # fmt: skip
def test_any_other_answer_is_told_what_can_be_said_of_it(law, said):
    found = check.equilibrium_norm(law)
    assert not found and said in found.says


def test_arguments_come_by_name_or_in_order():
    def turned(momentum, weight_decay, lr, c):
        return theory.equilibrium_norm(c, lr, weight_decay, momentum)

    assert check.equilibrium_norm(turned)
    assert check.equilibrium_norm(lambda size, rate, decay, rho=0.0: theory.equilibrium_norm(size, rate, decay, rho))
    assert check.equilibrium_norm(theory.equilibrium_norm)


def test_a_function_of_tensors_gets_tensors():
    assert check.time_constant(lambda lr, a, rho: (1 - rho) / torch.mul(4 * lr, a))
    assert check.rate(lambda lr, a, rho: (2 * lr * a * (1 - rho)).sqrt())


def test_without_momentum_the_function_has_none():
    assert check.equilibrium_norm(theory.equilibrium_norm, momentum=False)
    assert check.equilibrium_lost(theory.equilibrium_lost, momentum=False)
    assert check.time_constant(lambda lr, weight_decay: 0.25 / (lr * weight_decay), momentum=False)
    assert all(check.rate(lambda lr, a: np.sqrt(2 * lr * a), length=length, momentum=False)
               for length in ("fresh", "update", "whole"))  # fmt: skip
    with pytest.raises(ValueError, match="length='new'"):
        check.rate(theory.lars_rate, length="new")


def test_a_series_is_told_where_it_goes_wrong():
    def until(entry):
        def path(w2_0, c, lr_t, weight_decay):
            found = theory.norm_recurrence(w2_0, c, lr_t, weight_decay)
            found[entry:] *= 1.01
            return found

        return path

    assert "up to entry 2, and not from entry 3" in check.recurrence(until(3)).says
    assert "Not even the first" in check.recurrence(until(0)).says
    assert "has 3 entries" in check.recurrence(lambda *values: [1.0, 2.0, 3.0]).says
    assert "a series" in check.recurrence(lambda *values: 1.0).says


def test_what_a_function_does_to_its_arguments_does_no_harm():
    def eats(w2_0, c, lr_t, weight_decay):
        found = theory.norm_recurrence(w2_0, c, lr_t, weight_decay)
        lr_t[:] = 0
        return found

    assert check.recurrence(eats)


# Numbers
@pytest.mark.parametrize("key", exercises.EXERCISES)
def test_a_number_is_right_or_has_a_hint(key):
    exercise = exercises.EXERCISES[key]
    rights = np.atleast_1d(exercise.right())
    assert all(check.number(key, value) for value in rights)
    assert check.number(key, float(f"{rights[0]:.3g}"))
    wrong = [mistake(rights[0]) for mistake in exercise.wrong.values()]
    assert [check.number(key, value).says for value in wrong] == [*exercise.wrong]
    assert not check.number(key, 1e9) and not check.number(key, -1.0)
    assert exercise.asks in check.number(key).says and not check.number(key)


def test_numbers_of_all_kinds():
    for value in (16, 16.1, np.float32(16), torch.tensor(16.0), Fraction(16), xr.DataArray(16.0)):
        assert check.number("4.3", value)
    for value, said in (("16", "of type str"), ([16, 4], "single number"), (np.nan, "somewhere")):
        assert said in check.number("4.3", value).says
    with pytest.raises(ValueError, match="exercise='4.9': must be one of 1.1, "):
        check.number("4.9", 1)


# LARS
def as_function(step):
    def function(w, v, g, lr, momentum):
        return tuple(part[0] for part in step([w], [v], [g], lr, momentum))

    return function


def as_optimizer(step, **settings):
    """An optimizer of torch that takes steps of lists of arrays."""

    class Made(torch.optim.Optimizer):
        def __init__(self, parameters, lr, momentum=0.0):
            super().__init__(parameters, dict(lr=lr, momentum=momentum))

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                p = group["params"]
                w, g = ([x.numpy().copy() for x in tensors] for tensors in (p, [x.grad for x in p]))
                v = [self.state[x].get("v", np.zeros(x.shape)) for x in p]
                w, v = step(w, v, g, group["lr"], group["momentum"])
                for x, new, buffer in zip(p, w, v):
                    x.copy_(torch.from_numpy(new))
                    self.state[x]["v"] = buffer

    return Made


def test_lars_is_right_in_all_its_forms():
    assert check.lars(theory.lars_step) and check.lars(theory.lars_momentum_step) and check.lars(rd.optim.LARS)
    assert check.lars(as_optimizer(optimizer_answers.RIGHT))

    def of_tensors(w, g, lr):
        return w - lr * (w.norm() / g.norm().clamp(min=1e-30)) * g

    assert check.lars(of_tensors)


ONE_NORM = next(hint for hint in optimizer_answers.MISTAKES if hint.startswith("All layers share"))


@pytest.mark.parametrize("hint", optimizer_answers.MISTAKES, ids=lambda hint: hint[:40])
def test_each_mistake_in_lars_has_its_own_hint(hint):
    mistake = optimizer_answers.MISTAKES[hint]
    assert check.lars(as_optimizer(mistake)).says == hint
    if hint != ONE_NORM:  # of a single layer it is right
        assert check.lars(as_function(mistake)).says == hint


def test_no_two_mistakes_in_lars_are_the_same():
    with np.errstate(all="ignore"):
        paths = [optimizer_answers.follow(step, optimizer_answers.RHO)
                 for step in (optimizer_answers.RIGHT, *optimizer_answers.MISTAKES.values())]  # fmt: skip
        for one, other in itertools.permutations(paths, 2):
            there = abs(other) < 1e6
            assert not np.allclose(one[there], other[there], rtol=1e-3)


def in_place(w, g, lr):
    w -= lr * np.linalg.norm(w) / np.linalg.norm(g) * g
    return w


def divides(w, g, lr):
    return w - lr * np.linalg.norm(w) / np.linalg.norm(g) * g


def blends(w, v, g, lr, momentum):
    return theory.lars_step(w, g, lr)


@pytest.mark.parametrize("step, said", [
    (in_place, "It changes the w that it is given"),
    (divides, "g = 0"),
    (blends, "two things"),
    (lambda w, g, lr: 1.0, "shape ()"),
    (lambda w, g, lr: "no", "of type str"),
    (lambda w, g, lr: w - 1.3 * lr * np.linalg.norm(w) / np.linalg.norm(g) * g, "too long"),
    (lambda w, g, lr: w * (1 - lr), "not along the gradient"),
    (lambda w, g, lr: w.nonsense, "AttributeError"),
    (lambda w, g: w, "must take (w, g, lr)"),
    (0.1, "hand over a function"),
    (lambda w, g, lr: None, answers.EMPTY),
    (lambda w, v, g, lr, momentum: None, answers.EMPTY),
    (..., answers.EMPTY),
    (torch.optim.SGD, "this is SGD"),
    (torch.optim.Adam, "must make an optimizer"),
])  # fmt: skip
def test_other_steps_are_told_what_can_be_said_of_them(step, said):
    found = check.lars(step)
    assert not found and said in found.says


def test_decay_has_no_place_in_lars():
    def with_decay(w, v, g, lr, rho):
        return optimizer_answers.RIGHT(w, v, [x + 0.1 * y for x, y in zip(g, w)], lr, rho)

    assert "decay" in check.lars(as_optimizer(with_decay)).says


# Symmetries of parameters
LAYERS = {"prep": True, "layer1": False, "layer1.res1": True, "layer1.res2": False, "layer2": True, "layer3": False,
          "layer3.res1": True, "layer3.res2": False}  # fmt: skip
TRUTH = dict(zip(groups.GROUPS, (True, True, False, False, True, False, True, False)))


def test_the_groups_are_as_a_test_of_the_loss_has_them():
    """Parameters that are doubled in a network."""
    batch = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = rd.invariant_parameters(rd.models.ResNet9(width=4), lambda net: net(batch).square().mean())
    known = {one.name: one.invariant for one in found}
    names = {"layer1": "layer1.first.conv", "linear": "linear", "prep γ": "prep.norm",
             "prep (γ, β)": "prep.norm (weight, bias)", "layer1 (γ, β)": "layer1.first.norm (weight, bias)",
             "layer3 (γ, β)": "layer3.first.norm (weight, bias)"}  # fmt: skip
    assert {group: known[name] for group, name in names.items()} == {group: TRUTH[group] for group in names}


def test_invariant_groups():
    assert check.invariant(TRUTH) and check.invariant(lambda group: TRUTH[group])
    hints = [check.invariant({**TRUTH, group: not TRUTH[group]}).says for group in TRUTH]
    assert len({*hints}) == len(hints) == 8
    assert "(3 of 8 are not right yet.)" in check.invariant({**TRUTH, **dict.fromkeys([*TRUTH][:3], False),
                                                             "linear": True}).says  # fmt: skip
    assert check.invariant({}).says == check.invariant(lambda group: ...).says == answers.EMPTY
    assert "no answer yet to layer1, linear" in check.invariant({groups.FILTER: True}).says
    assert "neither True nor False" in check.invariant({**TRUTH, "linear": "no"}).says
    assert "of type list" in check.invariant([True]).says


def test_what_is_left_without_a_batch_norm():
    right = {layer: (whole, False) for layer, whole in LAYERS.items()}
    assert check.invariant(right, without_norm=True)
    wrong = [{**right, "layer3": (True, False)}, {**right, "layer2": (False, False)}, {**right, "prep": (True, True)}]
    hints = [check.invariant(one, without_norm=True).says for one in wrong]
    assert len({*hints}) == 3 and not any("layer2" in hint or "layer3" in hint for hint in hints)
    assert "two answers" in check.invariant(LAYERS, without_norm=True).says


# Experiments
def test_a_run_that_was_asked_for(monkeypatch):
    small.use(monkeypatch)
    ds = rd.run(small.config(momentum=0.9, weight_decay=0.01), progress=False)
    assert "Dots over line" in check.run(ds, lr=0.1, seed=lambda seed: seed >= 0).says and check.run(ds)
    assert "momentum=0.9: another setting" in check.run(ds, lr=0.1, momentum=0.0).says
    assert "diverged at step 3" in check.run(ds.assign_attrs(diverged_at=3)).says
    assert check.run(rd.run(small.config(weight_decay=0.0), progress=False)).says.endswith("%.")
    with pytest.raises(ValueError, match="learning_rate=0.1: must be a field of Config"):
        check.run(ds, learning_rate=0.1)


def test_what_is_no_run_of_ones_own():
    book = rd.run(rd.bundled()["sgd-0"])
    for value, said in ((book, "comes with the book"), (rd.Config(), "rd.run(config)"), (7, "of type int"),
                        (..., answers.EMPTY), (xr.Dataset(), "not a recording")):  # fmt: skip
        assert not check.run(value) and said in check.run(value).says


# The chapters
CHAPTERS = [path for path in gate.CHAPTERS if re.match("0[2-9]", path.name)]


def checks(chapter):
    """The cells that call a check: (source, whether it is an answer)."""
    for cell in nbformat.read(chapter, as_version=4).cells:
        if cell.cell_type == "code" and "rd.check." in cell.source:
            yield cell.source, "answer" in cell.metadata.get("tags", [])


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_asks_for_something_and_its_own_answer_is_right(chapter):
    """A stub is told that it is one, and each answer passes. `norm` is a table of the chapter."""
    here = {"rd": rd, "np": np, "norm": xr.DataArray(
        np.full((1, 1, 1, 1), 4.0), {"lr": [0.4], "weight_decay": [0.008], "momentum": [0], "layer": ["layer2"]})}
    found = {True: [], False: []}
    for source, answer in checks(chapter):
        *before, last = ast.parse(source).body
        exec(compile(ast.Module(before, []), chapter.name, "exec"), here)
        found[answer].append(eval(compile(ast.Expression(last.value), chapter.name, "eval"), here))
    assert found[False] and all(verdict.says.startswith(answers.EMPTY) for verdict in found[False])
    assert all(found[True]) and (found[True] or "b-" in chapter.name)


# What comes back
def test_a_verdict_reads_well_everywhere():
    found = check.number("5.1", 2.0)
    assert repr(found) == f"Not yet. {found.says}" and not found
    html = Verdict(False, "a < b & c")._repr_html_()
    assert 'role="status"' in html and "<strong>Not yet.</strong> a &lt; b &amp; c" in html
    assert repr(Verdict(True, "")) == "Right."


def test_a_graded_cell_ends_with_the_sentence_alone(capsys):
    shell = InteractiveShell()
    try:
        shell.user_ns["rd"] = rd
        assert shell.run_cell('rd.check.number("5.1", 0.84).require()', silent=True).success
        done = shell.run_cell('rd.check.number("5.1", 2.0).require()')
    finally:
        InteractiveShell.clear_instance()
    assert isinstance(done.error_in_exec, NotYet) and isinstance(done.error_in_exec, AssertionError)
    printed = capsys.readouterr().out
    assert "Not yet. More decay" in printed and "Traceback" not in printed and "File " not in printed


def test_an_error_is_kept_for_who_looks_for_it():
    found = check.equilibrium_norm(lambda c, lr, weight_decay, momentum: c / 0)
    assert isinstance(found.error, ZeroDivisionError)
    with pytest.raises(NotYet) as raised:
        found.require()
    assert raised.value.__cause__ is found.error
