"""Chapter: the standard's tables as data."""

from __future__ import annotations

from readfirst.domain.deid.dicom.standard_tables import TABLE_ROWS, content_rows, rows, types_of


def test_table_e_1_1_is_whole() -> None:
    assert len(rows()) == TABLE_ROWS == 657
    assert len({r.tag for r in rows()}) == 657


def test_rows_that_everyone_knows_say_what_the_standard_says() -> None:
    by_name = {r.name: r for r in rows()}
    assert by_name["Patient's Name"].basic == "Z"
    assert by_name["Patient's Birth Date"].options == {}
    assert by_name["Study Date"].options == {
        "retain_longitudinal_full_dates": "K",
        "retain_longitudinal_modified_dates": "C",
    }
    assert by_name["Device Serial Number"].options == {"retain_device_identity": "K"}
    assert by_name["SOP Instance UID"].basic == "U"


def test_table_e_3_4_1_names_content_items() -> None:
    assert content_rows()["DCM", "121022", "TEXT"].meaning == "Accession Number"


def test_attribute_types_depend_on_the_object_and_the_sequence() -> None:
    ct = types_of("1.2.840.10008.5.1.4.1.1.2")
    assert ct.of(0, 0x00080018) == "1"
    assert ct.of(0, 0x00080050) == "2"
    assert ct.of(0, 0x00081030) == "3"
    assert ct.of(0x00081140, 0x00081155) == "1"
    assert types_of("1.2.3").of(0, 0x00080050) == ""
