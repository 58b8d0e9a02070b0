"""What n runs can see: the interval of a paired difference."""


import numpy as np
import pytest
import xarray as xr

from resnet_dynamics import compare


def test_student_is_the_table_of_every_textbook():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 9: 2.262, 30: 2.042}
    assert {n: round(compare.student(n), 3) for n in table} == table


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    rng, n, level = np.random.default_rng(0), 4, 0.9
    common = rng.normal(size=(4000, n))  # what runs of one seed share, far larger than what sets the arms apart
    a, b = (10 * common + rng.normal(size=(4000, n)) + shift for shift in (0.7, 0.0))
    found = [compare.paired(x, y, level=level) for x, y in zip(a, b)]
    inside = np.mean([one.low <= 0.7 <= one.high for one in found])
    assert inside == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 4000))


def test_the_interval_of_two_spreads_holds_the_true_ratio_as_often_as_it_says():
    rng, level = np.random.default_rng(1), 0.9
    found = [compare.spreads(3 * rng.normal(size=6), rng.normal(size=9), level=level) for _ in range(4000)]
    inside = np.mean([one.low <= 3 <= one.high for one in found])
    assert inside == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 4000))


def test_spreads_turn_over_with_their_samples():
    """F of the textbook: 4.026 with 9 and 9 degrees of freedom, at 97.5 %."""
    a, b = np.random.default_rng(2).normal(size=(2, 10))
    ab, ba = compare.spreads(a, b), compare.spreads(b, a)
    assert (1 / ab.value, 1 / ab.high, 1 / ab.low) == pytest.approx(ba[:3])
    assert (ab.value / ab.low) ** 2 == pytest.approx(4.026, abs=5e-4)


def test_holm_rejects_what_its_steps_reject():
    """Step down: reject the smallest while it is at most level/(those left), and stop at the first that is not."""
    rng = np.random.default_rng(3)
    for p in rng.random((200, 5)) ** 3:
        for level in (0.05, 0.3):
            rejected, left = set(), 5
            for i in np.argsort(p):
                if p[i] > level / left:
                    break
                rejected.add(i)
                left -= 1
            assert set(np.flatnonzero(compare.holm(p) <= level)) == rejected


def test_seeds_are_matched_by_their_number():
    a = xr.DataArray([1.0, 2.0, 4.0], {"seed": [0, 1, 2]}, "seed")
    b = xr.DataArray([3.0, 0.0, 1.0], {"seed": [2, 0, 1]}, "seed")
    assert compare.paired(a, b) == (1.0, 0.0, 3, 0.0, 0.95)
    with pytest.raises(ValueError, match=r"^seeds \[0, 1, 2\] and \[0, 1\]: must be the same"):
        compare.paired(a, b.isel(seed=[1, 2]))


def test_equivalent_means_the_whole_interval():
    narrow, wide = compare.paired([1.0, 1.1, 0.9], [1.0, 1.0, 1.0]), compare.paired([1.0, 2.0, 0.0], [1.0, 1.0, 1.0])
    assert narrow.mean == pytest.approx(wide.mean) == pytest.approx(0)
    assert narrow.within(0.3) and not wide.within(0.3)


@pytest.mark.parametrize("mean, half, said", [
    (-0.03, 0.02, "below"), (0.03, 0.02, "above"), (0.01, 0.02, "undecided"), (0.01, 0.01, "equivalent within 0.02"),
    (0.01, 0.008, "above, equivalent within 0.02"), (-0.01, 0.008, "below, equivalent within 0.02"),
    (0.0, 0.021, "undecided")])
def test_the_verdict_is_read_off_the_interval(mean, half, said):
    assert compare.Difference(mean, half, 6, 0.01).verdict(0.02) == said


def test_a_difference_is_printed_with_as_many_digits_as_asked():
    d = compare.Difference(-0.01234, 0.00456, 6, 0.01)
    assert f"{d:.3f}" == "−0.012 ± 0.005" and f"{d:.1f}" == "−0.0 ± 0.0" and f"{d}" == str(d)


@pytest.mark.parametrize("a, b, said", [
    ([1.0], [1.0], "must be lists of one length, at least 2"),
    ([1.0, 2.0], [1.0, 2.0, 3.0], "must be lists of one length"),
    ([1.0, float("nan")], [1.0, 2.0], "must be finite; leave out a run that diverged"),
])  # fmt: skip
def test_what_cannot_be_compared_is_said(a, b, said):
    with pytest.raises(ValueError, match=said):
        compare.paired(a, b)


@pytest.mark.parametrize("call, said", [
    (lambda: compare.sees(1.0, 1), "n=1: must be a whole number, at least 2"),
    (lambda: compare.sees(1.0, 2.5), "n=2.5: must be"),
    (lambda: compare.sees(1.0, 3, level=95), "level=95: must be between 0 and 1"),
    (lambda: compare.spreads([1.0], [1.0, 2.0]), r"a=\[1.0\]: must be a list of at least 2 finite numbers"),
    (lambda: compare.spreads([1.0, 2.0], [1.0, 1.0]), r"b=\[1.0, 1.0\]: must not be all the same"),
    (lambda: compare.spreads([1.0, 2.0], [1.0, 2.0], level=1), "level=1: must be between 0 and 1"),
    (lambda: compare.holm([0.5, 1.5]), r"p=\[0.5, 1.5\]: must be a list of probabilities"),
    (lambda: compare.runs_needed(1.0, 0.0), "difference=0.0: must be a number that is not zero"),
])  # fmt: skip
def test_a_bad_argument_is_named(call, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        call()
