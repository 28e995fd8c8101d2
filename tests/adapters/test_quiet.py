"""Nothing that a clinic calls its files, or that a file says, is in what the app logs as the real worker starts it.

Each test runs a program of its own: levels of loggers last for a process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.adapters.blob_service import BlobService
from tests.adapters.test_settings import SAMPLE

PERSON = "TARNQUIST"

# The worker's dispatcher: the root logger at INFO with one handler, before the app is imported.
WORKER = f"""
import logging, sys, warnings
class Insights(logging.Handler):
    def emit(self, record):
        text = self.format(record)
        print("LOGGED", record.name, text.replace("\\n", " "))
logging.getLogger().setLevel(logging.INFO)
logging.getLogger().addHandler(Insights())
import main
logging.getLogger("a function").info("this line is seen")
from readfirst.adapters import blobs, clients
from readfirst.adapters.uploads import clinic_results
from readfirst.domain import resource_names
from readfirst.domain.refusals import Reason, Refused
inbox = clients.container(resource_names.UPLOADS, resource_names.inbox("lakeside"))
blob = inbox.get_blob_client("{PERSON}_ERNA/CT0001.dcm")
"""


@pytest.fixture
def service() -> Iterator[BlobService]:
    """A Blob service."""
    made = BlobService()
    yield made
    made.close()


def said(connection: str, work: str) -> str:
    """Standard output and error of an app that is started as the worker starts it, and then does that."""
    accounts = dict.fromkeys(("UPLOADS", "STUDIES", "VAULT", "AUDIT"), connection)
    done = subprocess.run(
        [sys.executable, "-c", WORKER + work],
        env={**os.environ, **SAMPLE, **accounts},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "this line is seen" in done.stdout, "the root logger is not at INFO"
    return done.stdout + done.stderr


def test_requests_are_not_logged_with_the_names_of_files(service: BlobService) -> None:
    work = f"""
blobs.put(inbox, blob.blob_name, b"x")
blobs.properties(blob)
blobs.read(inbox, blob.blob_name)
list(blobs.names(inbox, "{PERSON}"))
clinic_results.say_upload("lakeside", "f" * 32, blob.blob_name, Refused(Reason.NOT_DICOM))
"""
    assert PERSON not in said(service.connection, work)
    assert any(PERSON in path for _, path in service.asked), "nothing was asked"


def test_an_answer_whose_headers_cannot_be_read_is_not_logged_with_the_name_of_the_file() -> None:
    """urllib3 says so at WARNING, with the whole address."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\na header without a colon\r\nETag: x\r\n\r\n"

        def serve() -> None:
            for _ in range(8):
                connection, _ = door.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        work = """
import requests
try:
    requests.put(blob.url, data=b"x", timeout=20)
except Exception as error:
    print(type(error).__name__)
print("urllib3 has been used")
"""
        heard = said(BlobService.at(door.getsockname()[1]), work)
    assert "urllib3 has been used" in heard
    assert PERSON not in heard


def test_a_service_that_cannot_be_reached_is_told_without_the_name_of_the_file() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    connection = BlobService.at(port)
    work = """
import readfirst.adapters.retries as retries
from azure.core.exceptions import AzureError
try:
    blob.get_blob_properties(retry_total=0)
except AzureError as error:
    logging.exception("a fault")
    print("RAISED", type(error).__name__, error)
"""
    text = said(connection, work)
    assert "RAISED ServiceRequestError" in text and PERSON not in text


def test_what_pydicom_finds_odd_in_a_file_is_not_quoted(service: BlobService) -> None:
    work = f"""
import io, pydicom
from pydicom.dataset import Dataset
ds = Dataset()
ds.StudyInstanceUID = "{PERSON}/1960"
ds.PatientBirthDate = "{PERSON} 1960"
ds.AccessionNumber = "{PERSON} and a name that is longer than it may be"
out = io.BytesIO()
ds.save_as(out, implicit_vr=False, little_endian=True)
str(pydicom.dcmread(io.BytesIO(out.getvalue()), force=True).get("PatientBirthDate"))
"""
    text = said(service.connection, work)
    assert PERSON not in text
