"""Has a locked package a known vulnerability? Fails if so, and says plainly what nobody could be asked about.

`python .ci/audit.py --requirement FILE [options of pip-audit]`. pip-audit by itself reports packages that its service
does not know as "no known vulnerabilities"; here that is never taken for an answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

COMMAND = (sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip")
QUIET = ("--progress-spinner", "off", "--format", "json", "--timeout", "5")
ANSWERS_WITHIN = 120
"""Seconds for all packages."""
NOT_REACHED = re.compile(r"(ConnectionError|ConnectTimeout|ReadTimeout|Timeout|SSLError|HTTPError|ProxyError)\b")


def main() -> int:
    """0: nothing was found, or nobody could be asked. 1: something was found. 2: the question failed."""
    try:
        asked = subprocess.run(  # noqa: S603  # our own interpreter, and options of whoever calls this
            [*COMMAND, *QUIET, *sys.argv[1:]], capture_output=True, text=True, check=False, timeout=ANSWERS_WITHIN
        )
    except subprocess.TimeoutExpired:
        return not_audited("the service did not answer in time")
    try:
        dependencies = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        # only the kind of error: its text names hosts
        if unreachable := NOT_REACHED.findall(asked.stderr):
            return not_audited(f"the service could not be reached ({unreachable[-1]})")
        print(f"pip-audit failed: {asked.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return 2
    return judged(dependencies)


def judged(dependencies: list[dict[str, Any]]) -> int:
    """The exit code for what the service said of each package."""
    found = [(d, v) for d in dependencies for v in d.get("vulns", ())]
    unknown = [d["name"] for d in dependencies if "skip_reason" in d]
    for dependency, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"VULNERABLE: {dependency['name']} {dependency['version']}: {vulnerability['id']}, fixed in {fixed}")
    if found:
        return 1
    if len(unknown) == len(dependencies):
        return not_audited("the service knows none of the packages")
    print(f"{len(dependencies) - len(unknown)} packages have no known vulnerability")
    if unknown:
        print(f"NOT AUDITED, the service does not know them: {', '.join(sorted(unknown))}")
    return 0


def not_audited(why: str) -> int:
    """Nobody could be asked: no reason to stop, and no clean bill either."""
    print(f"NOT AUDITED: {why}. This says nothing about the packages; run `make audit` where it can be reached.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
