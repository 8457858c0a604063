"""What several rooms' tests share: where the shared real data lies, and how a skipped test says why."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real driving frames and networks that are not part of the project; tests that need them skip without."""
    if not (SHARED / "camvid" / "index.csv").is_file():
        pytest.skip(f"real frames and networks are not at {SHARED}")
    return SHARED
