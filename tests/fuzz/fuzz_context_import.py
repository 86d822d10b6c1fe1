"""Files of Mule, Java and Spring: any bytes are contexts or faults, and what a mesh file would not take is noted."""

from __future__ import annotations

from handsel.errors import InvalidFile
from handsel.tls.convert import handsel_yaml, java, kinds, mule, spring
from handsel.tls.convert.model import joined


def fuzz(data: bytes) -> None:
    kinds.of(data)
    for read in (mule.read, java.read, spring.read):
        try:
            imported = joined([read({"f": data}), read({"f.yaml": data})])
        except InvalidFile:
            continue
        list(handsel_yaml.faults(imported.contexts))
        assert all(len(str(note).splitlines()) == 1 for note in imported.notes)
