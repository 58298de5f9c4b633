"""A pool without processes: a start of torch saved in every test that is not about processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sfumato.compare import workers


class Here(workers.Pool):
    """Calls run in this process, one at a time."""

    def results(self, calls: Iterator[Any]) -> Iterator[tuple[Any, Any, BaseException]]:
        for call in calls:
            if call is not None:
                key, function, arguments = call
                try:
                    yield key, function(*arguments), RuntimeError("")
                except Exception as error:
                    yield key, None, error
            yield None, None, RuntimeError("")
        yield None, None, RuntimeError("")
