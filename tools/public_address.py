"""Write the repository's public address into what is published: project URLs, absolute links in the README.

Usage: public_address.py ADDRESS TAG. The release workflow calls it with its own address before it builds; the
repository itself holds relative links, which work wherever it is cloned to.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def with_urls(pyproject: str, address: str, tag: str) -> str:
    """Return pyproject.toml with a table of project URLs."""
    urls = {
        "Repository": address,
        "Documentation": f"{address}/tree/{tag}/docs",
        "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
    table = "[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    return pyproject.replace("[project.scripts]\n", f"{table}\n[project.scripts]\n", 1)


def absolute_links(readme: str, address: str, tag: str) -> str:
    """Return Markdown whose links to files of the repository are absolute; links inside the page stay."""
    relative = r"\]\((?!https?:|#|mailto:)([^)\s]+)\)"
    images = re.sub(rf"(!\[[^\]]*){relative}", rf"\1]({address}/raw/{tag}/\2)", readme)
    return re.sub(relative, rf"]({address}/blob/{tag}/\1)", images)


def main(address: str, tag: str) -> None:
    """Change pyproject.toml and README.md in place."""
    for name, change in (("pyproject.toml", with_urls), ("README.md", absolute_links)):
        path = ROOT / name
        path.write_text(change(path.read_text("utf-8"), address.rstrip("/"), tag), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
