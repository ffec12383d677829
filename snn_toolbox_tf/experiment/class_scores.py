"""How well each class is told from the others, by scikit-learn's metrics."""

import numpy as np


def confusion_matrix(labels: np.ndarray, decisions: np.ndarray, classes: int) -> np.ndarray:
    """Returns the samples by true class (row) and decision (column), int64 `[classes, classes]`."""
    # Only runs with labels need it, and its import takes a while.
    from sklearn import metrics

    return metrics.confusion_matrix(labels, decisions, labels=range(classes)).astype(np.int64)


def class_scores(labels: np.ndarray, decisions: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Returns precision, recall and F1 of every class, float64 `[classes]`.

    A score is NaN where it has no meaning: the precision of a class that was never decided for, the recall of a class
    without samples, and the F1 score of a class that is neither decided for nor has samples.
    """
    from sklearn import metrics

    scores = metrics.precision_recall_fscore_support(labels, decisions, labels=range(classes), zero_division=np.nan)
    return dict(zip(("precision", "recall", "f1"), map(np.float64, scores[:3]), strict=True))
