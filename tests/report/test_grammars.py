"""jsonschema's checks are what they are without us, and what they need is imported when one is made."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("rfc3987_syntax")

ADDRESSES = ["https://example.org/ü?q=1#x", "urn:isbn:1", "no address", "http://[::1", ""]
CHECKED = f"""
import json, sys
before = "lark" in sys.modules
from jsonschema import Draft7Validator, FormatChecker
check = lambda text: not list(Draft7Validator({{"format": "iri"}}, format_checker=FormatChecker()).iter_errors(text))
found = [check(text) for text in {ADDRESSES!r}]
import rfc3987_syntax
print(json.dumps([before, found, "lark" in sys.modules, rfc3987_syntax.is_valid_syntax_iri("urn:isbn:1")]))
"""
PLAIN = "import nbformat, jsonschema"
LATER = """
from workbench.report.grammars import grammars_later
with grammars_later():
    import nbformat
"""
READ = """
from workbench.report.notebooks import read, shipped
read(shipped()["atlas"])
"""


def run(code: str) -> list:
    done = subprocess.run([sys.executable, "-c", code + CHECKED], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_addresses_are_checked_as_without_us_and_parsers_are_built_only_then() -> None:
    plain, later, read = run(PLAIN), run(LATER), run(READ)
    assert plain[0], "jsonschema builds them at its import no more: report/grammars.py can go"
    assert not later[0] and not read[0]
    assert plain[1] == later[1] == read[1] == [True, True, False, False, False]
    assert plain[2:] == later[2:] == read[2:] == [True, True]
