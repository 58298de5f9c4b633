"""The command line: verbs, precedence of settings, progress, tables, doctor, bench. Nothing heavy at the top."""

from __future__ import annotations

from .commands import main

__all__ = ["main"]
