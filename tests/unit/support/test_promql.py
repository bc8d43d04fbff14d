from __future__ import annotations

import pytest
from promql import series_in


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        ('rate(a_total{job="b or c"}[5m]) > 1.5e3', {"a_total"}),
        ("sum by (instance, le) (rate(x_bucket[5m]))", {"x_bucket"}),
        ("a:b:ratio5m / on (instance) group_left (name) c unless d offset 5m", {"a:b:ratio5m", "c", "d"}),
        ("max by(x)(up) == 0 and 1 - y{a=~\"z|w\"} >= bool 3", {"up", "y"}),
        ("vector(1)", set()),
        ("time() - timestamp (last)", {"last"}),
        ("histogram_quantile(0.95, sum(rate(h_bucket[5m])) by (le))", {"h_bucket"}),
        ('label_replace(a, "b", "$1", "c", "(d)")', {"a"}),
    ],
)
def test_series_are_found(expression: str, names: set[str]) -> None:
    assert series_in(expression) == names
