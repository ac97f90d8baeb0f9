"""Figures of repeated runs."""

import math
import statistics
from dataclasses import dataclass


@dataclass
class Summary:
    """Some runs of one thing."""

    count: int
    median: float
    least: float
    most: float
    cv: float  # standard deviation / mean, in percent


def summary(values):
    """The summary of `values`; None where there are none."""
    values = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not values:
        return None
    mean = statistics.fmean(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Summary(
        count=len(values),
        median=statistics.median(values),
        least=min(values),
        most=max(values),
        cv=100 * spread / mean if mean else 0.0,
    )


def ratio(ours, theirs):
    """How many times theirs ours is; None where one is not known."""
    if ours is None or theirs is None or not theirs.median:
        return None
    return ours.median / theirs.median


def percentile(values, share):
    """The smallest value that `share` percent of them do not exceed; None where there are none."""
    ordered = sorted(values)
    rank = math.ceil(len(ordered) * share / 100)
    return ordered[rank - 1] if rank >= 1 else None
