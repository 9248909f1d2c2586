"""docs/cost.md is arithmetic of infra/: page and code say the same, and the arithmetic is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.config import ENVIRONMENTS, PREFIX, Config, read_config
from infra.costs import (
    ASSUMPTIONS,
    HOURS,
    WORKLOADS,
    Workload,
    break_even_gigabytes,
    break_even_tasks,
    components,
    egress,
    endpoint,
    most_images,
)
from infra.pages import DOCS, UnknownTable, table_names, with_tables, write
from infra.prices import MUST_BE_CHECKED, PRICES, READ, dollars

PAGE = (DOCS / "cost.md").read_text("utf-8")
IDLE, SOME, MANY = WORKLOADS


def _config(environment: str = "small", **values: str) -> Config:
    given = {"ENVIRONMENT": environment, "REGION": "us-east-1", "MODEL": "sketch", **values}
    return read_config({f"{PREFIX}{name}": value for name, value in given.items()})


def test_tables_are_what_the_code_says() -> None:
    assert with_tables(PAGE) == PAGE, "write the page anew: python -m infra.pages"


def test_page_has_all_that_money_is_spent_on() -> None:
    tables = {"prices", "assumptions", "each-image", "ways-out", "break-even"}
    assert set(table_names(PAGE)) == tables | {f"month-{environment}" for environment in ENVIRONMENTS}


def test_table_that_nobody_makes_is_a_fault() -> None:
    with pytest.raises(UnknownTable, match="nonsense"):
        with_tables("<!-- table: nonsense -->\n<!-- end -->")


def test_what_is_between_markers_is_replaced_and_nothing_else() -> None:
    page = with_tables("before\n<!-- table: break-even -->\nold\n<!-- end -->\nafter\n")
    assert page.startswith("before\n<!-- table: break-even -->\n| ")
    assert page.endswith("|\n<!-- end -->\nafter\n")
    assert "old" not in page


def test_writing_changes_pages_that_are_wrong_and_no_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, right = tmp_path / "a.md", tmp_path / "b.md"
    wrong.write_text(PAGE.replace("| Fargate | ", "| Fargate | 9"), "utf-8")
    right.write_text("no tables\n", "utf-8")
    write(tmp_path)
    assert capsys.readouterr().out == "a.md: written\n"
    assert wrong.read_text("utf-8") == with_tables(PAGE)
    assert right.read_text("utf-8") == "no tables\n"


@pytest.mark.parametrize("name", PRICES)
def test_price_has_a_page_that_said_so_or_must_be_checked(name: str) -> None:
    price = PRICES[name]
    assert price.dollars >= 0
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {price.what} |"))
    if price.checked:
        assert price.source.startswith("https://")
        assert price.dated
        assert price.source.split()[0] in row
    else:
        assert MUST_BE_CHECKED in row
        assert "https://" not in price.source


def test_page_names_the_day_on_which_prices_were_read() -> None:
    assert READ in PAGE


def test_prices_that_have_no_source_are_in_the_sums_and_named_so() -> None:
    assert [name for name, price in PRICES.items() if not price.checked], "then the page need not warn any more"
    assert "**must be checked**" in PAGE.partition("<!-- table: prices -->")[0]


def test_small_without_an_endpoint() -> None:
    # By hand, from the price list: what runs all the time.
    month = components(_config(), IDLE)
    assert month["Fargate"] == pytest.approx(2 * 730 * (0.5 * 0.04048 + 1 * 0.004445))
    assert month["way out: public"] == pytest.approx(2 * 730 * 0.005)
    assert month["database: instance"] == pytest.approx(730 * 0.016 + 20 * 0.115)
    assert month["Valkey"] == pytest.approx(730 * 0.1 * 0.084)
    assert month["load balancer"] == pytest.approx(730 * 0.0225)
    assert month["S3"] == month["CloudFront"] == 0


def test_standard_pays_for_a_gateway_in_each_zone_and_for_two_databases() -> None:
    two, three = _config("standard"), _config("standard", ZONES="3")
    assert egress(two, 0) == pytest.approx(2 * 730 * (0.045 + 0.005))
    assert egress(three, 0) == pytest.approx(3 * 730 * (0.045 + 0.005))
    assert components(two, IDLE)["database: aurora"] == pytest.approx(2 * 0.5 * 0.12 * 730, rel=0.02)


def test_small_with_nat_has_one_gateway() -> None:
    assert egress(_config(EGRESS="nat"), 100) == pytest.approx(730 * 0.05 + 100 * 0.045)


def test_arm_is_paid_for_at_its_own_price() -> None:
    assert components(_config(ARCHITECTURE="arm64"), IDLE)["Fargate"] < components(_config(), IDLE)["Fargate"]


def test_storing_an_image_is_two_puts() -> None:
    cost = components(_config(), MANY)["S3"] - components(_config(), IDLE)["S3"]
    gigabytes = MANY.images * (150 + 15) / 1e6
    assert cost == pytest.approx(2 * MANY.images * (0.005 + 0.0004) / 1000 + gigabytes * 0.023)


def test_real_time_endpoint_costs_the_same_idle_and_busy_but_for_its_traffic() -> None:
    idle, busy = endpoint(_config(), "realtime", IDLE), endpoint(_config(), "realtime", MANY)
    assert idle == pytest.approx(HOURS * dollars("ml.g5.2xlarge"))
    assert 0 < busy - idle < 1


def test_endpoint_from_zero_pays_for_work_and_for_being_awake() -> None:
    config = _config()
    assert endpoint(config, "async", IDLE) < 1
    hours = SOME.images * 4 / 3600 + SOME.bursts * 0.5
    assert endpoint(config, "async", SOME) == pytest.approx(hours * dollars("ml.g5.2xlarge"), rel=0.01)


def test_endpoint_from_zero_is_never_paid_for_longer_than_a_month() -> None:
    endless = Workload(images=10_000_000, bursts=10_000)
    instance = HOURS * dollars("ml.g5.2xlarge")
    traffic = 10_000_000 * 200e3 / 1e9 * dollars("endpoint_gb")
    assert endpoint(_config(), "async", endless) == pytest.approx(instance + traffic, rel=0.2)
    assert most_images() == pytest.approx(HOURS * 3600 / 4)


def test_break_even_of_ways_out_is_where_both_cost_the_same() -> None:
    nat, endpoints = _config("standard", EGRESS="nat"), _config("standard", EGRESS="endpoints")
    gigabytes = break_even_gigabytes(nat, endpoints)
    assert egress(nat, gigabytes) == pytest.approx(egress(endpoints, gigabytes))
    assert egress(nat, gigabytes + 1) > egress(endpoints, gigabytes + 1)
    tasks = round(break_even_tasks(nat))
    public = _config(EGRESS="public", API_TASKS_MIN=f"{tasks - 1}", API_TASKS_MAX="100", WORKER_TASKS_MIN="1")
    assert egress(public, 0) == pytest.approx(egress(nat, 0))


@pytest.mark.parametrize(
    ("pattern", "environment", "tolerance"),
    [(r"`small` costs about (\d+) dollars", "small", 5), (r"`standard` about (\d+), idle", "standard", 10)],
)
def test_summary_says_what_the_tables_say(pattern: str, environment: str, tolerance: float) -> None:
    match = re.search(pattern, PAGE)
    assert match is not None
    assert sum(components(_config(environment), IDLE).values()) == pytest.approx(float(match[1]), abs=tolerance)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_budget_is_no_alarm_that_always_rings(environment: str) -> None:
    price = str(dollars("ml.g5.2xlarge"))
    config = _config(environment, MODEL="stable-diffusion-2-1-base", INSTANCE_DOLLARS_PER_HOUR=price)
    month = sum(components(config, IDLE).values()) + endpoint(config, "realtime", IDLE)
    assert month < config.budget_dollars < 1.3 * month
    assert str(config.monthly_budget_dollars) in PAGE


def test_assumptions_are_shown_with_their_reasons() -> None:
    for assumption in ASSUMPTIONS.values():
        assert f"| {assumption.what} | " in PAGE
        assert assumption.basis
