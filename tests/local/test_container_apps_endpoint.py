"""Container Apps jobs through azure-mgmt-appcontainers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.appcontainers import ContainerAppsAPIClient

from readfirst.local.stack import Stack
from tests.waiting import eventually

pytestmark = pytest.mark.stack


class Job:
    """The one job, as the product uses it."""

    def __init__(self, stack: Stack) -> None:
        parts = stack.environment["JOB_RESOURCE_ID"].split("/")
        self.group, self.name = parts[4], parts[8]
        self.client: Any = ContainerAppsAPIClient(
            ManagedIdentityCredential(), parts[2], base_url=stack.environment["ARM_ENDPOINT"]
        )

    def start(self) -> str:
        return str(self.client.jobs.begin_start(self.group, self.name).result().name)

    def status(self, execution: str) -> str:
        return str(self.client.job_execution(self.group, self.name, execution).properties.status.value)

    def wait(self, execution: str, wanted: str) -> None:
        eventually(lambda: self.status(execution) == wanted)


@pytest.fixture
def job(stack: Stack) -> Job:
    return Job(stack)


def test_a_started_job_runs_and_succeeds(job: Job, hold: Path) -> None:
    execution = job.start()
    assert execution.startswith("readfirst-inference-")
    assert job.status(execution) == "Running"
    hold.unlink()
    job.wait(execution, "Succeeded")
    assert execution in [listed.name for listed in job.client.jobs_executions.list(job.group, job.name)]


def test_the_job_gets_the_studies_account_and_none_of_its_starters_other_rights(stack: Stack, job: Job) -> None:
    job.wait(job.start(), "Succeeded")
    given = json.loads((stack.folders.logs / "job.log").read_text().splitlines()[-1])
    assert "STUDIES" in given
    assert not {"UPLOADS", "VAULT", "AUDIT", "AzureWebJobsStorage", "COSMOS_KEY", "IDENTITY_HEADER"} & set(given)


def test_a_job_that_is_killed_has_failed(stack: Stack, job: Job, hold: Path) -> None:
    stack.inject("jobs", "oom")
    execution = job.start()
    job.wait(execution, "Failed")


def test_an_image_that_cannot_be_pulled_fails_the_execution(stack: Stack, job: Job) -> None:
    stack.inject("jobs", "image-pull")
    job.wait(job.start(), "Failed")


def test_without_quota_nothing_starts(stack: Stack, job: Job) -> None:
    before = len(list(job.client.jobs_executions.list(job.group, job.name)))
    stack.inject("jobs", "quota")
    with pytest.raises(HttpResponseError, match="MaximumAllowedCoresExceeded"):
        job.start()
    assert len(list(job.client.jobs_executions.list(job.group, job.name))) == before


def test_a_job_that_hangs_runs_until_it_is_stopped(stack: Stack, job: Job) -> None:
    stack.inject("jobs", "hang")
    execution = job.start()
    assert job.status(execution) == "Running"
    job.client.jobs.begin_stop_execution(job.group, job.name, execution).result()
    job.wait(execution, "Stopped")


def test_a_job_goes_on_while_the_endpoint_is_restarted(stack: Stack, job: Job) -> None:
    stack.inject("jobs", "hang")
    execution = job.start()
    stack.restart("endpoints")
    assert job.status(execution) == "Running"
    job.client.jobs.begin_stop_execution(job.group, job.name, execution).result()
    job.wait(execution, "Stopped")


def test_another_job_or_execution_is_not_found(job: Job) -> None:
    with pytest.raises(ResourceNotFoundError):
        job.client.jobs.begin_start(job.group, "other").result()
    with pytest.raises(ResourceNotFoundError):
        job.status("readfirst-inference-0000000")
