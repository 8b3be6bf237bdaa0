"""`python -m datamodels` writes the files made from the models; with `--check` it only says which ones are stale."""

import sys
from importlib import resources
from pathlib import Path

from datamodels.files import made_files


def main(arguments: list[str]) -> int:
    """Write or check the made files; the exit code is 1 when a check finds stale ones."""
    stale = []
    for (package, name), text in made_files().items():
        path = Path(str(resources.files(package))) / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
    for path in stale:
        print(f"{'stale' if '--check' in arguments else 'written'}: {path.name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
