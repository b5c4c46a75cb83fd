"""The mutual information gap at values worked out by hand."""

import itertools
import math

import numpy as np
import pytest

from textvae.errors import RequestError
from textvae.evaluation.disentanglement import mutual_information_gap

# Every pair of a factor of 2 classes and one of 4, once.
FACTORS = np.array(list(itertools.product(range(2), range(4))))


def test_a_dimension_for_each_factor_is_1_in_any_order_scale_and_with_idle_dimensions():
    codes = np.stack([5 - 3.0 * FACTORS[:, 1], np.zeros(8), 0.1 * FACTORS[:, 0]], 1)
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(1.0)


def test_two_dimensions_that_tell_the_same_leave_no_gap():
    codes = np.repeat(FACTORS, 2, 1).astype(float)
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(0.0, abs=1e-12)


def test_codes_that_tell_nothing_are_0():
    assert mutual_information_gap(np.zeros((8, 3)), FACTORS) == 0.0


def test_by_hand():
    # Dimension 0 is the first factor. Dimension 1 is the parity of the second one: it tells log 2 of its log 4.
    # Dimension 2 says whether the second one is 3: H(¼) = ¼ log 4 + ¾ log 4/3.
    codes = np.stack([FACTORS[:, 0], FACTORS[:, 1] % 2, FACTORS[:, 1] == 3], 1).astype(float)
    is_three = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    expected = (1.0 + (math.log(2) - is_three) / math.log(4)) / 2
    assert mutual_information_gap(codes, FACTORS) == pytest.approx(expected)
    one = mutual_information_gap(codes[:, 1:2], FACTORS[:, 1:])
    assert one == pytest.approx(0.5), "a code of one dimension has no second one"


def test_bins_are_of_equal_width():
    codes = np.array([[0.0], [0.04], [0.96], [1.0]])
    factors = np.array([[0], [1], [2], [3]])
    assert mutual_information_gap(codes, factors) == pytest.approx(0.5), "the two at each end share a bin"


def test_what_cannot_be_measured_is_refused():
    for codes, factors in ((np.zeros((8, 2)), FACTORS[:4]), (np.zeros(8), FACTORS), (np.zeros((8, 0)), FACTORS)):
        with pytest.raises(RequestError, match="Codes are"):
            mutual_information_gap(codes, factors)
    with pytest.raises(RequestError, match="Factor 1"):
        mutual_information_gap(np.zeros((8, 2)), FACTORS * [1, 0])
    with pytest.raises(RequestError, match="finite"):
        mutual_information_gap(np.full((8, 2), np.nan), FACTORS)
