"""Which de-identification made a file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import readfirst.domain.deid
from readfirst.domain.deid.version import ENGINE_VERSION, digest_of, engine_build

HERE = Path(readfirst.domain.deid.__file__).parent


def test_a_receipt_says_the_version_and_the_digest_of_sources_and_rules() -> None:
    assert re.fullmatch(re.escape(ENGINE_VERSION) + r"\+[0-9a-f]{12}", engine_build())
    assert engine_build().endswith(digest_of(HERE)[:12])


def test_the_digest_changes_with_any_source_any_rule_and_any_name(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE, tmp_path / "same", ignore=ignored)
    assert digest_of(tmp_path / "same") == digest_of(HERE)
    for changed in ("engine.py", "data/patterns.toml", "profiles/strict.toml", "pixels/check.py"):
        shutil.copytree(HERE, tmp_path / "other", ignore=ignored)
        with (tmp_path / "other" / changed).open("a") as file:
            file.write("#\n")
        assert digest_of(tmp_path / "other") != digest_of(HERE), changed
        shutil.rmtree(tmp_path / "other")
    (tmp_path / "same/engine.py").rename(tmp_path / "same/motor.py")
    assert digest_of(tmp_path / "same") != digest_of(HERE)


def test_what_python_makes_of_the_sources_does_not_count(tmp_path: Path) -> None:
    shutil.copytree(HERE, tmp_path / "same", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "same/__pycache__").mkdir()
    (tmp_path / "same/__pycache__/engine.py").write_text("compiled")
    assert digest_of(tmp_path / "same") == digest_of(HERE)
