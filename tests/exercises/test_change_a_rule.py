"""The five exercises of DEVELOPERS.md, each on a temporary copy: the files it names are all that a hand has to touch.

Each edits the copy as a developer would, runs the commands that the table names, and looks at what the product then
does. The tests that hold the documents, the deployment and the local stack to the rule run in the copy too, so that
a second home of the rule would be found.
"""

from __future__ import annotations

from tests.exercises.conftest import Workshop


def test_the_threshold_of_high_risk_is_changed_in_the_bundles_manifest_and_approved(workshop: Workshop) -> None:
    bundle = "model_container/models/readfirst-chest"
    asked = (
        "from readfirst.domain.analysis.models import default_model; "
        "print(default_model().risk.met_by(probability=0.6, diameter_mm=13.0))"
    )
    assert workshop.run("-c", asked) == "False"

    workshop.edit(f"{bundle}/manifest.json", '"min_diameter_mm": 15.0', '"min_diameter_mm": 12.0')
    workshop.edit(f"{bundle}/manifest.json", '"version": "0.5.0"', '"version": "0.5.1"')
    workshop.edit(f"{bundle}/manifest.json", "of at least 15 mm", "of at least 12 mm")
    workshop.run("-m", "readfirst.cli", "model", "approve", bundle)

    assert workshop.run("-c", asked) == "True"
    assert len(workshop.touched) == 1
    workshop.holds("tests/spec/test_models.py")


def test_what_the_email_says_is_changed_in_one_file(workshop: Workshop) -> None:
    asked = "from readfirst.domain.reading.alert_email import urgent; print(urgent('H', 'https://portal').text)"

    workshop.edit("readfirst/domain/reading/alert_email.py", "Please read it {when}", "Please open it {when}")

    assert "Please open it now: https://portal/" in workshop.run("-c", asked)
    assert len(workshop.touched) == 1
    workshop.holds("tests/spec/test_addresses.py", "tests/spec/test_reporting.py")


_CLEANED = """
import io
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from readfirst.domain.deid import deidentify
from readfirst.domain.deid.rules.profile import load_profile
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers
from readfirst.domain.pseudonyms import Pseudonyms

ds = Dataset()
ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality, ds.PatientID = CTImageStorage, generate_uid(), "CT", "4711"
ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
ds.Rows = ds.Columns = 16
ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelData = 16, 12, 11, bytes(512)
ds.private_block(0x0045, "ACME PHYSICS 1.0", create=True).add_new(0x10, "DS", "1.25")
ds.file_meta = FileMetaDataset()
ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
source, clean = io.BytesIO(), io.BytesIO()
ds.save_as(source, enforce_file_format=True)
done = deidentify(source, clean, names=Pseudonyms(b"0123456789abcdef0123456789abcdef", "lakeside"), handle="H",
                  profile=load_profile("triage-default"), known=KnownIdentifiers())
clean.seek(0)
print(dcmread(clean).get((0x0045, 0x1010), "removed"))
"""


def test_a_private_attribute_is_kept_by_its_profile(workshop: Workshop) -> None:
    profile = "readfirst/domain/deid/profiles/triage-default.toml"
    assert workshop.run("-c", _CLEANED) == "removed"

    end = ", and the document out of them\n"
    allowed = '\n[[private.allow]]\ncreator = "ACME PHYSICS 1.0"\ngroup = "0045"\nelement = "10"\nvr = "DS"\n'
    workshop.edit(profile, end, end + allowed)

    assert "1.25" in workshop.run("-c", _CLEANED)
    assert len(workshop.touched) == 1
    workshop.holds("tests/spec/deid/test_profiles.py")


def test_a_role_is_added_in_three_files(workshop: Workshop) -> None:
    """A medical physicist, who sees figures and no study."""
    rules = "readfirst/domain/access/rules.py"
    workshop.edit(
        rules, '    OPERATOR = "operator"\n', '    OPERATOR = "operator"\n    PHYSICIST = "medical-physicist"\n'
    )
    figures = '"ops", (Role.OPERATOR, Role.RADIOLOGIST'
    workshop.edit(rules, figures, f"{figures}, Role.PHYSICIST")
    workshop.edit(
        "bicep/hooks/preprovision.py",
        '    "operator": "Sees how the system does",\n',
        '    "operator": "Sees how the system does",\n    "medical-physicist": "Sees what the images are like",\n',
    )
    workshop.edit(
        "readfirst/local/people.py",
        '        ("operator", "Oda Peters (operator)"),\n',
        '        ("operator", "Oda Peters (operator)"),\n        ("medical-physicist", "Mo Silva (physicist)"),\n',
    )
    workshop.run("-m", "tools.access_page")
    workshop.run("-m", "tools.openapi")

    assert "medical-physicist" in (workshop.root / "docs/access.md").read_text()
    assert len(workshop.touched) == 3
    workshop.holds(
        "tests/spec/test_access_rules.py",
        "tests/spec/test_openapi.py",
        "tests/cloud/test_hooks.py::test_a_first_deployment_gets_an_application_without_a_secret_and_every_default",
    )


_MEASURE = """\"\"\"Measure: how noisy the pictures are that the job will read.\"\"\"

from __future__ import annotations

from typing import Any

from orchestrations.blueprint import blueprint


@blueprint.activity_trigger(input_name="run")
def measure_noise(run: dict[str, Any]) -> None:
    \"\"\"A stage's work: load, decide by a rule of the domain, save; doing it twice changes nothing.\"\"\"
"""

_READ = """
from datetime import timedelta
from readfirst.domain.operations.stages import STAGES
from readfirst.domain.workflow_messages import AnalysisOutcome
from orchestrations.study import read_study
from tests.orchestrations.test_policy import OTHERS, PLAN, RUN, Context, run

class Versioned(Context):
    version = "VERSION"

analysis = {"plan": PLAN.dump(), "verdict": AnalysisOutcome(outcome="analysed").dump()}
context = Versioned(RUN.dump(), {"workers_for": 1, "deidentify_batches": False, "measure_noise": None,
                                 "analyse": analysis, "report": [], **OTHERS})
run(read_study, context)
seconds = next(given for name, given in context.told if name == "report")["seconds"]
steps = [name for name, _ in context.told if name in ("deidentify_batches", "measure_noise", "analyse")]
print(steps, "measure" in seconds, STAGES.index("measure"))
"""


def test_a_stage_is_added_in_four_files_and_a_run_in_flight_goes_on_without_it(workshop: Workshop) -> None:
    study, stages = "orchestrations/study.py", "readfirst/domain/operations/stages.py"
    workshop.write("orchestrations/measure.py", _MEASURE)
    workshop.edit(
        study,
        "from orchestrations.report import LATE, tell\n",
        "from orchestrations.measure import measure_noise\nfrom orchestrations.report import LATE, tell\n",
    )
    workshop.edit(
        study,
        "    deidentified = context.current_utc_datetime\n",
        "    deidentified = context.current_utc_datetime\n"
        '    if context.version not in ("1.0", "1.1"):  # a history of theirs has no such step\n'
        "        yield context.call_activity_with_retry(measure_noise, STEP, run.dump())\n"
        "    measured = context.current_utc_datetime\n",
    )
    workshop.edit(
        study,
        '            "analyse": (analysed - deidentified).total_seconds(),\n',
        '            "measure": (measured - deidentified).total_seconds(),\n'
        '            "analyse": (analysed - measured).total_seconds(),\n',
    )
    workshop.edit(stages, '"deidentify", "analyse"', '"deidentify", "measure", "analyse"')
    workshop.edit(
        stages, "\nanalyse      last", "\nmeasure      last clean copy to the noise's figure\nanalyse      last"
    )
    workshop.edit("host.json", '"defaultVersion": "1.1"', '"defaultVersion": "1.2"')

    new = workshop.run("-c", _READ.replace("VERSION", "1.2"))
    assert new == "['deidentify_batches', 'measure_noise', 'analyse'] True 3"
    in_flight = workshop.run("-c", _READ.replace("VERSION", "1.1"))
    assert in_flight.startswith("['deidentify_batches', 'analyse']")
    assert len(workshop.touched) == 4
    workshop.holds(
        "tests/spec/test_stages.py",
        "--deselect",
        "tests/spec/test_stages.py::test_a_study_goes_through_seven_stages_in_this_order",
    )
