"""Key images (Secondary Capture): the slice of a finding as a person wants to look at it."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from PIL.Image import Image
from pydicom.uid import ExplicitVRLittleEndian

from model_container.outputs.study import MANUFACTURER, SERIES, Study, software


def key_image(study: Study, picture: Image, number: int) -> hd.sc.SCImage:
    """A finding's overlay as a picture that every viewer shows."""
    image = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=study.sources[0],
        pixel_array=np.asarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=study.uid("series", "sc"),
        series_number=SERIES["sc"],
        sop_instance_uid=study.uid("sc", str(number)),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=software(study.manifest),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=f"AI key images. {study.manifest.disclaimer}",
    )
    image.Laterality = ""  # type 2C: the chest is no paired part, but not every reader knows that
    image.BurnedInAnnotation = "NO"  # what is drawn names nobody
    return image
