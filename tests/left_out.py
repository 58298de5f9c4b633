"""What a run left out, as its last lines: tests in a browser where none starts, and all that was skipped.

A plugin of pytest (conftest.py names it). Under xdist the workers find out and the controller tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
import toolchain

LEFT: dict[str, str] = {}
"""Why a test (its id) or a whole file was left out."""


def pytest_itemcollected(item: pytest.Item) -> None:
    if "browser" in getattr(item, "fixturenames", ()):
        item.add_marker("browser")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("browser")]
    if wanting and not toolchain.browser():
        items[:] = [item for item in items if item not in wanting]
        config.hook.pytest_deselected(items=wanting)
        LEFT.update((item.nodeid, toolchain.lack("browser")) for item in wanting)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _skipped(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _skipped(report)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    LEFT.update(getattr(node, "workeroutput", {}).get("left_out", {}))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = LEFT
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # workers have none
    for line in summary(LEFT) if reporter else []:
        reporter.write_line(line)


def summary(left: dict[str, str]) -> list[str]:
    """Lines for people, the same reason once."""
    whole, single = defaultdict(list), defaultdict(int)
    for test, reason in left.items():
        if "::" in test:
            single[reason] += 1
        else:
            whole[reason].append(test)
    counted = [(f"{count} test{'s' * (count > 1)}", reason) for reason, count in single.items()]
    named = [(", ".join(sorted(files)), reason) for reason, files in whole.items()]
    return [f"left out: {what}: {reason}" for what, reason in counted + named]


def _skipped(report: pytest.CollectReport | pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        LEFT[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
