"""Scores by class against their definitions."""

import numpy as np

from snn_toolbox_tf.experiment.class_scores import class_scores, confusion_matrix


def test_scores_of_a_small_example():
    # Class 2 is never decided for, class 3 has no samples, class 4 has neither.
    labels, decisions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 3])
    matrix = confusion_matrix(labels, decisions, 5)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[2, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0] * 5, [0] * 5]
    scores = class_scores(labels, decisions, 5)
    nan = np.nan
    np.testing.assert_allclose(scores["precision"], [2 / 3, 1 / 2, nan, 0, nan])
    np.testing.assert_allclose(scores["recall"], [2 / 3, 1 / 2, 0, nan, nan])
    np.testing.assert_allclose(scores["f1"], [2 / 3, 1 / 2, 0, 0, nan])


def test_scores_follow_from_the_confusion_matrix(rng):
    labels, decisions = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    matrix = confusion_matrix(labels, decisions, 7)
    for true in range(7):
        for decided in range(7):
            assert matrix[true, decided] == ((labels == true) & (decisions == decided)).sum()
    scores = class_scores(labels, decisions, 7)
    right, samples, decided = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    np.testing.assert_allclose(scores["precision"], right / decided)
    np.testing.assert_allclose(scores["recall"], right / samples)
    np.testing.assert_allclose(scores["f1"], 2 * right / (samples + decided))
