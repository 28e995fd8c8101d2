"""Chapter: an identifier is found in what programs make of it: encoded, spread over values, as a binary number."""

from __future__ import annotations

import base64
import struct

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.rules.binary_numbers import BinaryNumbers
from readfirst.domain.deid.text.scrubber import Scrubber
from tests.spec.deid.conftest import Cleaner

KNOWN = KnownIdentifiers(
    names=frozenset(("Quillfeather^Zoë",)),
    ids=frozenset(("48213077",)),
    dates=frozenset(("19510423",)),
)


def scrubbed(text: str) -> str:
    return Scrubber(KNOWN).scrub(text)


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(b"Quillfeather, Zoe").decode(),
        base64.urlsafe_b64encode(b"patient: Quillfeather").decode().rstrip("="),
        base64.b64encode("Quillfeather".encode("utf-16-le")).decode(),
        base64.b64encode(base64.b64encode(b"born 23.04.1951")).decode(),
        b"Quillfeather".hex(),
        b"Quillfeather".hex(" ").upper(),
        b"MRN 48213077".hex(":"),
        "0x" + b"Quillfeather".hex(),
        b"born 23 April 1951".hex(),
        base64.b64encode(b"seen on 2024-02-29").decode(),
    ],
)
def test_an_encoded_identifier_goes_and_the_text_around_it_stays(encoded: str) -> None:
    clean = scrubbed(f"chest {encoded} axial").replace("******", "***")  # a part of the digits may go by itself
    assert clean == "chest *** axial"


@pytest.mark.parametrize(
    "encoded",
    [
        "\\u0051uill\\u0066eather",
        "".join(f"\\x{b:02x}" for b in b"Quillfeather"),
        "=?utf-8?b?UXVpbGxmZWF0aGVy?=",
        "=?utf-8?q?Quill=66eather?=",
        "n=3DQuill=66eather",
        "name%3DQuill%66eather",
        "born&#32;1951&#45;04&#45;23",
        "1%2E2%2E826%2E0%2E1%2E3680043%2E9%2E1",
        '{"text": "\\u0051uillfeather"}',
        "&amp;#81;uillfeather",
    ],
)
def test_a_text_with_escapes_that_hide_somebody_goes(encoded: str) -> None:
    clean = scrubbed(encoded)
    assert "***" in clean
    assert not any(part in clean for part in ("uillf", "feather", "1951", "3680043"))


@pytest.mark.parametrize(
    "text",
    [
        "Abdominal CT w/ contrast &amp; delay", "SAGITTAL T1 FSE", "Quantification 100%", "kernel=3D", "BONEPLUS_1",
        "deadbeefcafe", "12 34 56 78", "T1 vibe dixon tra p4 bh", "a=20 mA", "120kV+tin", "ORIGINAL\\PRIMARY\\AXIAL",
        base64.b64encode(b"lung window").decode(), "1.0\\2.0\\3.0\\4.0\\5.0\\6.0",
    ],
)  # fmt: skip
def test_what_only_looks_encoded_stays(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    "value",
    ["QUILL\\FEATHER", "\\".join("Quillfeather"), "1951\\0423", "on 28 M\\ay 2021", "51756\\96c6c\\66656174\\686572"],
)
def test_an_identifier_spread_over_the_values_of_an_attribute_goes(value: str) -> None:
    assert scrubbed(value) == "***"


UID = "1.2.826.0.1.3680043.9.34390065.1"


@pytest.mark.parametrize(
    "text",
    [UID, f"AX T1 [urn:oid:{UID}]", "2.25.186708941417506758597337327437848298582", "http://pacs/w?uid=1.2.840.113619.2.5",
     "2.16.840.1.114151.4", "tel:+4428 9707 1719", "T 057 2410 2874", "on 057-2410-2874 today", "call 555-010-4477",
     "078-05-1120", "seen 23.04.1951", "o.quill@mail.example"],
)  # fmt: skip
def test_nobody_shows_across_the_values_of_an_attribute_however_a_text_is_cut(text: str) -> None:
    for cut in range(4, len(text) - 3, 5):
        whole = scrubbed(f"{text[:cut]}\\{text[cut:]}").replace("\\", "")
        assert text not in whole and text[4:] not in whole
    for pieces in (text, [text[at : at + 3] for at in range(0, len(text), 3)]):
        clean = scrubbed("\\".join(pieces))
        assert "***" in clean and text[4:] not in clean.replace("\\", "")


@pytest.mark.parametrize("value", ["020\\7946\\0958", "(555)\\010\\4477"])
def test_the_parts_of_a_telephone_number_as_values_go(value: str) -> None:
    assert scrubbed(value) == "***"


@pytest.mark.parametrize(
    "value",
    [
        "1.2\\1.4\\1.6\\1.8\\2.2\\2.4", "001\\002\\003\\004", "120\\-80", "512\\512\\120",
        "0.5\\0.25\\0.125\\1.0\\2.0\\3.0",
        "TE 12.5\\TE 25.0", "L1\\L2\\L3", "1.25x1.25\\2.5", "-1200\\-600\\50",
        "VA44A\\3.4.20\\12.5", "syngo 512\\512 1200",
    ],
)  # fmt: skip
def test_values_that_only_look_like_a_number_together_stay(value: str) -> None:
    assert scrubbed(value) == value


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n   ", " \n"])
@pytest.mark.parametrize(
    ("first", "second"),
    [("see 1.2.826.0.1.36", "80043.9.34390065.1"), ("see 1.2.826.0.1.", "3680043.9.34390065"), ("by Quill-", "feather"),
     ("2.25.18670894141750675", "8597337327437848298582"), ("no 48213", "077"), ("call +44 20", "7946 0958"),
     ("020", "7946 0958"), ("on 23.04.", "1951"), ("on 1951-04-", "23"), ("o.quill@mail", ".example")],
)  # fmt: skip
def test_an_identifier_that_goes_on_in_the_next_line_goes(first: str, second: str, end: str) -> None:
    clean = scrubbed(f"CT chest\n{first}{end}{second}\nno finding")
    assert second not in clean
    assert clean.startswith("CT chest\n") and clean.endswith("\nno finding")


@pytest.mark.parametrize(
    "text",
    [
        "Sizes:\n1.2\n1.4\n1.6\n1.8\n2.2\n2.4", "lesion 12 mm\n5 lesions", "T1 1.5\n2.5\n3.5", "kV 120\r\nmA 200",
        "non-\nspecific opacity", "Findings:\n1. Nodule 4 mm\n2. Nodule 5 mm", "segment 2\n019 images", "-120\n-80",
        "matrix 512\n512 1200 ms",
    ],
)  # fmt: skip
def test_lines_that_only_look_like_a_number_together_stay(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{lead}{kind}{b:0{width}x}" for b in raw)
        for raw in (b"QUILLFEATHER", b"230451", b"Q. ZOE")
        for kind, width in (("x", 2), ("u", 4), ("X", 2))
        for lead in ("\\", "/", "|", "¥", "")
    ],
)
def test_escapes_whose_backslash_became_something_else_are_read(text: str) -> None:
    assert "***" in scrubbed(text)
    assert scrubbed(f"CT {text}"[:64]) != f"CT {text}"[:64]


@pytest.mark.parametrize(
    "cut",
    [
        "%51%75%69%6C%6C%66%", "%51%75%69%6C%6C%66%6", "=51=75=69=6C=6C=66=6", "\\x51\\x75\\x69\\x6c\\x6c\\x66\\x",
        "\\u0051\\u0075\\u0069\\u006c\\u006c\\u0066\\u00", "/x51/x75/x69/x6c/x6c/x66/x", "/u0051uill/u0066eather",
        "\\121\\165\\151\\154\\154\\146", "\\x{51}\\x{75}\\x{69}\\x{6c}\\x{6c}\\x{66}",
        "U+0051 U+0075 U+0069 U+006C U+006C U+0066",
        "&#81;&#117;&#105;&#108;&#108;&#102;&#10", "&#x51;&#x75;&#x69;&#x6c;&#x6c;&#x66;&",
    ],
)  # fmt: skip
def test_a_name_is_read_in_escapes_that_the_end_of_a_field_cut(cut: str) -> None:
    assert "***" in scrubbed(cut)


@pytest.mark.parametrize("text", ["matrix x256 x128", "w/x-ray", "PA/x2", "0x10 0x20", "kV/u 100", "a|b|c"])
def test_what_only_looks_like_escapes_stays(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("จันทร์โอชา^สมหญิง", "จ ั น ท ร ์ โ อ ช า"), ("शर्मा^अनिता", "श र ् म ा"), ("ศรีสุวรรณ^ประยุทธ์", "ศ.ร.ี.ส.ุ.ว.ร.ร.ณ")],
)
def test_a_name_of_a_script_with_vowel_signs_is_found_spaced_out(name: str, text: str) -> None:
    known = KnownIdentifiers(names=frozenset((name,)))
    assert "***" in Scrubber(known).scrub(f"CT {text} chest")
    assert "***" in Scrubber(known).scrub(text.encode().hex(" ").upper())


@pytest.mark.parametrize(
    "text",
    [
        "2.25.186708941417506758597337327437848298582",
        "fd48444a-44de-4d74-9187-95402de29c3b",
        "fd48444a44de4d74918795402de29c3b",
    ],
)
def test_every_unique_identifier_in_a_text_goes_whoever_it_is_of(text: str) -> None:
    assert scrubbed(f"see {text}") == "see ***"


def test_a_number_filled_up_with_zeros_is_found_in_a_code_too(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientID = "48213077"
    item = Dataset()
    item.LongCodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "case 0048213077", "99SITE", "case"
    ct.ProcedureCodeSequence = [item]
    assert b"48213077" not in clean(ct).content


@pytest.mark.parametrize("value", ["case of 22-OCT-1941", "fd48444a-44de-4d74-9187-95402de29c3b", "a.b77@mail.example"])
def test_a_code_that_no_list_can_have_goes(ct: Dataset, clean: Cleaner, value: str) -> None:
    item = Dataset()
    item.LongCodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99SITE", "case"
    ct.ProcedureCodeSequence = [item]
    assert value.encode() not in clean(ct).content


@pytest.mark.parametrize(
    "value",
    ["DOB 19510423101530", "DOB 195104231015", "19510423 1015", "born 23.4.51", "4/23/1951", "tel:+4431 1471 3980",
     "510423101530", "23041951 1015", "Tel. 030 901820", "+49 (30) 901820", "T 057 2410 2874",
     "057-2410-2874", "mob: 07700 900123"],
)  # fmt: skip
@pytest.mark.parametrize("keyword", ["CodingSchemeVersion", "LongCodeValue"])
def test_no_code_holds_a_day_of_the_patient_or_a_telephone_number(
    ct: Dataset, clean: Cleaner, keyword: str, value: str
) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "P1", "99SITE", "case"
    setattr(item, keyword, value)
    ct.ProcedureCodeSequence = [item]
    assert value.encode() not in clean(ct).content


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("CodingSchemeVersion", "20230101"), ("CodingSchemeVersion", "1.2.3"), ("CodeValue", "0409-4888-10"),
     ("CodeValue", "T-A0100"), ("LongCodeValue", "19511015101530"), ("CodeValue", "30525-0"),
     ("CodeValue", "[degF]/min")],
)  # fmt: skip
def test_codes_of_lists_stay(ct: Dataset, clean: Cleaner, keyword: str, value: str) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "P1", "99SITE", "case"
    setattr(item, keyword, value)
    ct.ProcedureCodeSequence = [item]
    assert clean(ct).ds.ProcedureCodeSequence[0][keyword].value == value


@pytest.mark.parametrize("value", ["23_APR_1951", "2024_02_29", "16_OCTOBER_2015"])
def test_a_code_string_that_says_a_day_goes(ct: Dataset, clean: Cleaner, value: str) -> None:
    ct.add_new(0x0018_5104, "CS", value)
    assert value.encode() not in clean(ct).content


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x0020_9128, "UL", 48213077),
        (0x0018_603D, "SL", -48213077),
        (0x0018_9063, "FD", 48213077.0),
        (0x0008_0429, "UV", 48213077),
        (0x0072_0082, "SV", 48213077),
        (0x0072_0076, "FL", 48213077.0),
        (0x0072_0060, "AT", 48213077),
    ],
)
def test_a_binary_number_that_is_the_patients_goes(
    ct: Dataset, clean: Cleaner, tag: int, vr: str, value: float
) -> None:
    ct.PatientID = "48213077"
    ct.add_new(tag, vr, value)
    assert tag not in clean(ct).ds


@pytest.mark.parametrize("order", "<>")
def test_letters_in_numbers_are_read_in_either_order_of_bytes(ct: Dataset, clean: Cleaner, order: str) -> None:
    ct.PatientID = "48213077"
    ct.add_new(0x0018_9063, "FD", struct.unpack(f"{order}d", b"48213077")[0])
    assert 0x0018_9063 not in clean(ct).ds


def test_a_known_number_among_many_counts_from_seven_digits_on() -> None:
    known = BinaryNumbers({"48213", "48213077", "12000"})
    many = struct.pack("<40L", *range(48200, 48240))
    assert not known.hold(many, "UL", big=False)
    assert known.hold(many + struct.pack("<L", 48213077), "UL", big=False)
    assert known.hold(struct.pack(">L", 48213), "UL", big=True)
    assert not known.hold(struct.pack("<L", 12000), "UL", big=False)


def test_a_tag_of_the_standard_is_a_tag_whoever_has_its_number() -> None:
    frame_time = 0x0018_1063
    assert not BinaryNumbers({str(frame_time)}).hold(struct.pack("<2H", 0x0018, 0x1063), "AT", big=False)
