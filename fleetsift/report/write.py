"""The page on disk: whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path

from fleetsift.errors import ConfigError
from fleetsift.report.facts import ReportFacts
from fleetsift.report.page import render_page


def write_report(path: Path, facts: ReportFacts) -> None:
    """Write the page of a batch, replacing an earlier one; raises ConfigError where it cannot be written there."""
    page = render_page(facts)
    aside = path.with_name(f".writing-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(page, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: the report cannot be written, {error.strerror}; choose another place") from error
