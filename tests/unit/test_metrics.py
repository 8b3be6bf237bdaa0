"""Metrics: what is counted can be scraped, labels stay bounded, and the request path pays next to nothing."""

import timeit

from prometheus_client.parser import text_string_to_metric_families

from broker import metrics


def samples(name: str) -> dict[tuple[str, ...], float]:
    text = metrics.exposition()[0].decode()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_operation_and_status_in_cumulative_buckets() -> None:
    for seconds in (0.0005, 0.002, 0.002, 99.0):
        metrics.requests.observe("test_operation", 207, seconds)
    assert metrics.requests.count("test_operation", 207) == 4
    assert samples("tsunagu_http_request_seconds_count")["test_operation", "207"] == 4
    buckets = samples("tsunagu_http_request_seconds_bucket")
    assert buckets["0.001", "test_operation", "207"] == 1
    assert buckets["0.0025", "test_operation", "207"] == 3
    assert buckets["10.0", "test_operation", "207"] == 3
    assert buckets["+Inf", "test_operation", "207"] == 4


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    metrics.requests.observe("test_bound", 200, 0.001)
    assert samples("tsunagu_http_request_seconds_bucket")["0.001", "test_bound", "200"] == 1


def test_hosts_beyond_the_limit_share_one_label() -> None:
    labels = metrics.BoundedLabels(limit=2)
    assert [labels.label(host) for host in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]


def test_commits_and_notifications_are_counted() -> None:
    before = samples("tsunagu_commit_mutations_sum")[()]
    metrics.committed(64, 0.001)
    metrics.notified("receiver.example", True, 0.01)
    metrics.notified("receiver.example", False, 10)
    assert samples("tsunagu_commit_mutations_sum")[()] == before + 64
    attempts = samples("tsunagu_notification_attempts_total")
    assert attempts["receiver.example", "delivered"] == 1
    assert attempts["receiver.example", "failed"] == 1


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    text, media_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert metrics.exposition()[1].startswith("text/plain")


def test_counting_a_request_costs_a_few_microseconds_at_most() -> None:
    metrics.requests.observe("test_cost", 200, 0.003)
    best = min(timeit.repeat(lambda: metrics.requests.observe("test_cost", 200, 0.003), number=2000, repeat=5)) / 2000
    assert best < 5e-6
