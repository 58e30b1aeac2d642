"""Is there a secret in the files? Fails for what is not in the baseline, and names place and kind, never the secret.

`python .ci/find_secrets.py [FILE …]` looks into these files, else into all that git tracks or would track.
`--accept` takes what is found now into the baseline: only after a person looked at each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

BASELINE = Path(".secrets.baseline")
WITHOUT = (".gz", "requirements.txt", "requirements-dev.txt", "histories/branches.json", BASELINE.name)
"""Archives, and files full of digests."""


def tracked() -> list[str]:
    """All files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # git is found by PATH
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in sorted(set(listed.stdout.splitlines())) if Path(name).is_file()]


def found(files: list[str]) -> SecretsCollection:
    """What looks like a secret in these files."""
    with default_settings():
        secrets = SecretsCollection()
        secrets.scan_files(*(name for name in files if not name.endswith(WITHOUT)), num_processors=2)
    return secrets


def main() -> int:
    """0 where nothing new was found, 1 where something was."""
    arguments = sys.argv[1:]
    secrets = found([name for name in arguments if name != "--accept"] or tracked())
    if "--accept" in arguments:
        with default_settings():
            accepted = baseline.format_for_output(secrets)
        del accepted["generated_at"]
        BASELINE.write_text(json.dumps(accepted, indent=1, sort_keys=True) + "\n")
        print(f"{len(list(secrets))} places are accepted as no secrets")
        return 0
    new = secrets - baseline.load(baseline.load_from_file(str(BASELINE)))
    for name, secret in new:
        print(f"SECRET? {name}:{secret.line_number}: {secret.type}")
    if list(new):
        print("Take it out, and change it where it is used.")
        print("Where a person looked and it is none: make secrets ARGS=--accept")
        return 1
    print("no secrets in the files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
