"""What is installed with softspoken, as a CycloneDX list, and that every licence of it is known and permissive enough.

    python tools/sbom.py [--extra cpu --extra sign] [--out sbom.json]

Reads the metadata of installed packages and asks nobody: no network. Exit code 1 for a package without a licence that
it knows, or with one that would bind software which merely uses it.
"""

import argparse
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

BINDING = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL", re.IGNORECASE)
"""Not the LGPL: libraries under it are used as they are."""
ALSO = re.compile(r"\bOR\b|\bMIT\b|\bBSD\b|Apache|MPL|PSF|exception", re.IGNORECASE)
"""Beside a binding licence: there is a choice, or an exception."""


def installed(name: str, extras: set[str], found: dict[str, metadata.Distribution]) -> None:
    """Add a package and all that it needs here to `found`."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    if key in found and not extras:
        return
    found[key] = package
    for line in package.requires or []:
        needed = Requirement(line)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            installed(needed.name, set(needed.extras), found)


def licence_of(package: metadata.Distribution) -> str:
    """As its metadata says it, shortly; or else the head of the licence that comes with it."""
    facts: Any = package.metadata
    named = facts.get("License-Expression") or ""
    classified = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier") or [] if "License ::" in line]
    written = (facts.get("License") or "").strip().splitlines()
    stated = named or "; ".join(classified) or (written[0][:80] if written else "")
    files = [] if stated else [file for file in package.files or [] if file.name.upper().startswith("LICEN")]
    return stated or next((file.read_text("utf-8").strip().splitlines()[0][:80] for file in files), "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found: dict[str, metadata.Distribution] = {}
    installed("softspoken", set(asked.extra), found)
    rows, wrong = [], []
    for name, package in sorted(found.items()):
        licence = licence_of(package)
        if not licence or (BINDING.search(licence) and not ALSO.search(licence)):
            wrong.append(f"{name} {package.version}: {licence or 'no licence in its metadata'}")
        rows.append(
            {
                "type": "library",
                "name": name,
                "version": package.version,
                "purl": f"pkg:pypi/{name}@{package.version}",
                "licenses": [{"license": {"name": licence}}],
            }
        )
        print(f"{name:28} {package.version:16} {licence}")
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        content = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": rows}
        asked.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for line in wrong:
        print(f"not accepted: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
