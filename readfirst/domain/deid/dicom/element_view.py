"""A clean data set as `facts_of` asks it: a few values by keyword, without pydicom's conversion of each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from readfirst.domain.deid.dicom.elements import Element, File

_tag_of = lru_cache(maxsize=256)(tag_for_keyword)
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d"}


@dataclass(frozen=True)
class _Told:
    elements: dict[int, Element]
    order: str
    file_meta: SimpleNamespace | None = None

    def get(self, keyword: str) -> Any:
        """The value as pydicom would give it, but that numbers in text stay text; None where there is none."""
        element = self.elements.get(_tag_of(keyword) or 0)
        if element is None:
            return None
        if isinstance(element.value, list):
            return [_Told({e.tag: e for e in item}, self.order) for item in element.value]
        if not isinstance(element.value, bytes):
            return None
        if code := _NUMBERS.get(element.vr):
            count = len(element.value) // struct.calcsize(f"={code}")
            numbers = struct.unpack_from(f"{self.order}{count}{code}", element.value)
            return numbers[0] if count == 1 else list(numbers)
        texts = [v.strip(" \0") for v in element.value.decode("latin-1").split("\\")]
        return texts[0] if len(texts) == 1 else texts


def element_view(file: File, clean: list[Element]) -> Dataset:
    """The clean elements of a file, for `facts_of`."""
    meta = SimpleNamespace(TransferSyntaxUID=file.transfer_syntax)
    return cast(Dataset, _Told({e.tag: e for e in clean}, file.encoding.order, meta))
