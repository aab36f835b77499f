"""Bytes of a table's newest version, and of each of its columns, beside a Parquet file with the same rows.

The newest manifest names the data files and indexes that count; a data file ends with a table of its columns' metadata,
which names the buffers of every page. Both are protobuf, read by hand here, because nothing else of the bench needs a
Lance reader. Usage: columns.py TABLE_FOLDER PARQUET
"""

import glob
import json
import os
import struct
import sys
import uuid

import pyarrow.parquet as pq

FOOTER = struct.Struct("<QQQIIHH4s")


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """Field numbers and values of one protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def numbers(value):
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(number)
    return found


def buffer_bytes(column):
    """The sizes of a column's pages' buffers and of its own: fields 2 and 4 of ColumnMetadata."""
    total = 0
    for number, value in fields(column):
        if number == 2:
            total += sum(sum(numbers(sizes)) for field, sizes in fields(value) if field == 2)
        elif number == 4:
            total += sum(numbers(value))
    return total


def columns(path):
    with open(path, "rb") as file:
        file.seek(-FOOTER.size, os.SEEK_END)
        _, table, _, _, count, _, _, magic = FOOTER.unpack(file.read())
        if magic != b"LANC":
            raise SystemExit(f"{path} is no Lance file")
        file.seek(table)
        places = struct.unpack(f"<{2 * count}Q", file.read(16 * count))
        found = []
        for at, size in zip(places[::2], places[1::2]):
            file.seek(at)
            found.append(buffer_bytes(file.read(size)))
        return found


def message(file, at):
    file.seek(at)
    size = struct.unpack("<I", file.read(4))[0]
    return list(fields(file.read(size)))


def live(table):
    """The newest version's data files and index folders; others wait for their cleaning."""
    # Names count down from the greatest number, so that the newest version is listed first.
    manifest = min(glob.glob(os.path.join(table, "_versions", "*.manifest")))
    with open(manifest, "rb") as file:
        file.seek(-16, os.SEEK_END)
        place, _, _, magic = struct.unpack("<QHH4s", file.read(16))
        if magic != b"LANC":
            raise SystemExit(f"{manifest} is no manifest")
        head = message(file, place)
        fragments = [value for number, value in head if number == 2]
        data = [value for fragment in fragments for number, value in fields(fragment) if number == 2]
        names = [value.decode() for file_of in data for number, value in fields(file_of) if number == 1]
        places = [value for number, value in head if number == 6]
        indexes = [value for number, value in message(file, places[0]) if number == 1] if places else []
        ids = [dict(fields(dict(fields(index))[1]))[1] for index in indexes]
    folders = [str(uuid.UUID(bytes=bytes(name))) for name in ids]
    return (
        [os.path.join(table, "data", name) for name in names],
        [os.path.join(table, "_indices", name) for name in folders],
    )


def bytes_below(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def main():
    table, parquet = sys.argv[1:]
    files, indexes = live(table)
    ours = [sum(column) for column in zip(*map(columns, files))]
    file = pq.ParquetFile(parquet)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    names = file.schema_arrow.names
    theirs = [sum(group.column(at).total_compressed_size for group in groups) for at in range(len(names))]
    if len(ours) != len(names):
        raise SystemExit(f"{len(ours)} columns in our files, {len(names)} in the Parquet file")
    print(json.dumps({
        "data": sum(map(os.path.getsize, files)), "indexes": sum(map(bytes_below, indexes)),
        "all": bytes_below(table), "parquet": os.path.getsize(parquet), "fragments": len(files),
        "columns": [[name, mine, other] for name, mine, other in zip(names, ours, theirs)],
    }))


if __name__ == "__main__":
    main()
