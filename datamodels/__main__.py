"""`python -m datamodels` writes the files made from the models; with `--check` it only says which ones are stale.

Where the package is in its repository, the pages below `docs/models/` are among them.
"""

import sys
from importlib import resources
from pathlib import Path

from datamodels.documentation import documentation
from datamodels.files import made_files


def main(arguments: list[str]) -> int:
    """Write or check the made files; the exit code is 1 when a check finds stale ones."""
    package = Path(str(resources.files("datamodels")))
    wanted = {Path(str(resources.files(room))) / name: text for (room, name), text in made_files().items()}
    pages = package.parent / "docs" / "models"
    if pages.is_dir():
        wanted |= {pages / name: text for name, text in documentation().items()}
    check = "--check" in arguments
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    left = [
        path
        for path in (*(package / "made").glob("*.schema.json"), *pages.glob("ja/*.md"), *pages.glob("en/*.md"))
        if path not in wanted
    ]
    if not check:
        for path in stale:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        for path in left:
            path.unlink()
    for path in stale:
        print(f"{'stale' if check else 'written'}: {path.relative_to(package.parent)}")
    for path in left:
        print(f"{'left over' if check else 'removed'}: {path.relative_to(package.parent)}")
    return 1 if check and (stale or left) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
