"""What tools/public_address.py writes into the published package."""

import importlib.util
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("public_address", ROOT / "tools" / "public_address.py")
public_address = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(public_address)


def test_links_to_files_become_absolute_and_others_stay():
    text = "[a](docs/log.md) [b](docs/x.md#part) [c](#limits) [d](https://example.org/a) ![e](docs/e.svg)"
    assert public_address.absolute_links(text, "https://host/me/it", "v1") == (
        "[a](https://host/me/it/blob/v1/docs/log.md) [b](https://host/me/it/blob/v1/docs/x.md#part) [c](#limits) "
        "[d](https://example.org/a) ![e](https://host/me/it/raw/v1/docs/e.svg)"
    )


def test_the_project_gets_its_urls():
    changed = public_address.with_urls((ROOT / "pyproject.toml").read_text("utf-8"), "https://host/me/it", "v1")
    assert tomllib.loads(changed)["project"]["urls"]["Changelog"] == "https://host/me/it/blob/v1/CHANGELOG.md"


def test_relative_links_of_the_readme_lead_to_files():
    absolute = public_address.absolute_links((ROOT / "README.md").read_text("utf-8"), "https://host/me/it", "v1")
    paths = [part.split(")")[0].split("#")[0] for part in absolute.split("https://host/me/it/blob/v1/")[1:]]
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]
