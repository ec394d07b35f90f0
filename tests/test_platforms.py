"""Names, limits and features of the three platforms."""

import re

import botocore.session
import pytest

import simlib as sl
from simlib import platforms, serving
from simlib.platforms.fields import PLATFORMS

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))


def test_every_name_is_a_parameter_of_some_config() -> None:
    configs = [getattr(serving, name) for name in serving.__all__ if isinstance(getattr(serving, name), type)]
    known = {name for each in configs for name in getattr(each, "__dataclass_fields__", {})}
    table = platforms.fields()
    assert set(table["name"]) <= known
    assert table["name"].is_unique
    assert (table[["sagemaker", "vertex", "azureml"]] != "").any(axis=1).all()


def test_the_names_sagemaker_uses_are_in_its_api() -> None:
    """The API model says which members there are; each name of the table is one of them."""
    session = botocore.session.get_session()
    members = set()
    for service in ("sagemaker", "application-autoscaling", "sagemaker-runtime"):
        model = session.get_service_model(service)
        for name in model.shape_names:
            members |= set(getattr(model.shape_for(name), "members", {}))
    named = platforms.fields()["sagemaker"]
    asked = {part for field in named for part in re.findall(r"\w+", field.split(" ")[0])}
    assert asked - members == set()


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (serving.Serverless(MODEL, memory_mb=8192), "8192 MB of memory > 6144 MB serverless limit."),
        (serving.Serverless(MODEL, memory_mb=1500), "1500 MB of memory is not a multiple of 1024 MB"),
        (serving.Serverless(MODEL, max_concurrency=300), "300 requests at once > 200 requests serverless limit."),
        (serving.RealTime(MODEL, instance_type="ml.c5.huge"), "ml.c5.huge is no instance type of SageMaker."),
        (serving.RealTime(MODEL, instance_type="ml.t3.medium"), "ml.t3.medium is not offered for hosting."),
        (serving.BatchTransform(MODEL, instance_type="ml.t2.large"), "ml.t2.large is not offered for batch transform."),
        (serving.RealTime(MODEL, volume_size_in_gb=600), "600 GB volume > 512 GB real-time limit."),
        (serving.Asynchronous(MODEL, request_ttl_s=30), "30 s time to live < 60 s asynchronous limit."),
        (
            serving.RealTime(MODEL, instance_type="ml.t2.medium", scaling=serving.TargetTracking(100, max_capacity=2)),
            "ml.t2.medium is burstable, and a variant on it cannot be scaled automatically.",
        ),
        (
            serving.RealTime(MODEL, scaling=serving.TargetTracking(100, min_capacity=0, max_capacity=2)),
            "0 instance kept < 1 instance real-time limit.",
        ),
        (
            serving.BatchTransform(MODEL, max_concurrent_transforms=20, max_payload_in_mb=6),
            "120 MB of concurrent payloads > 100 MB batch limit.",
        ),
    ],
)
def test_what_sagemaker_refuses_is_found(deployment: object, words: str) -> None:
    (found,) = platforms.validate(deployment)
    assert found.words.startswith(words)
    assert found.mark == "V"
    assert found.source


def test_a_deployment_within_the_limits_is_let_through() -> None:
    assert platforms.validate(serving.RealTime(MODEL)) == ()
    assert platforms.validate(serving.Serverless(MODEL, memory_mb=6144, max_concurrency=200)) == ()
    assert platforms.validate(serving.BatchTransform(MODEL, max_payload_in_mb=100)) == ()


def test_a_models_payload_counts_and_the_field_is_named() -> None:
    large = sl.ModelProfile("photos", service=sl.constant(0.5), request_kb=6000)
    (found,) = platforms.validate(serving.Serverless(large))
    assert found.words == "6 MB request > 4 MB serverless limit."
    (found,) = platforms.validate(serving.Serverless(MODEL, memory_mb=7168))
    assert found.field == "ProductionVariants[].ServerlessConfig.MemorySizeInMB"


def test_what_is_no_deployment_is_refused() -> None:
    with pytest.raises(sl.ParameterError, match="deployment is a str"):
        platforms.validate("ml.m5.large")


def test_every_feature_has_its_source_and_all_three_platforms() -> None:
    table = platforms.features()
    assert table["feature"].nunique() >= 39
    assert table.groupby("feature")["platform"].apply(lambda each: sorted(each) == sorted(PLATFORMS)).all()
    assert (table[["text", "publisher", "source", "as_of", "mark"]] != "").all(axis=None)
    assert set(table["mark"]) <= set("VSDU")
    assert table["as_of"].str.fullmatch(r"20\d\d(-\d\d){0,2}").all()
    vague = table["source"].str.contains("own knowledge|none|not counted")
    assert not (vague & (table["mark"] == "V")).any()


def test_whatever_is_not_verified_says_so_wherever_it_is_shown() -> None:
    long, wide, slides = platforms.features(), platforms.matrix(), platforms.since_the_slides()
    for table in (long, slides):
        assert ((table["note"] == "unverified") == (table["mark"] != "V")).all()
    for row in long.itertuples():
        cell = wide.loc[row.feature, row.platform]
        assert cell.endswith("(unverified)") == (row.mark != "V")
    both = platforms.differences("sagemaker", "vertex")
    assert (both == wide.loc[both.index, both.columns]).all(axis=None)


def test_filters_and_differences() -> None:
    ended = platforms.features(platform="azureml", status="ended")
    assert ended["feature"].tolist() == ["FPGA"]
    assert set(platforms.features("TPU")["platform"]) == set(PLATFORMS)
    unlike = platforms.differences("vertex", "azureml")
    assert {"TPU", "shadow traffic", "visual designer"} <= set(unlike.index)
    assert "weighted traffic" not in unlike.index  # GA on both
    assert platforms.differences("vertex", "vertex").empty
    with pytest.raises(sl.ParameterError, match="did you mean 'pipelines'"):
        platforms.features("pipelinez")


def test_the_sessions_six_rows_come_first_and_whole() -> None:
    slides = platforms.since_the_slides()
    assert slides["criterion"].drop_duplicates().tolist() == [
        "ease of use",
        "ecosystem",
        "bring your own model",
        "MLOps and governance",
        "cost",
        "hardware",
    ]
    assert slides.groupby("criterion")["platform"].apply(list).map(lambda each: each == list(PLATFORMS)).all()
    assert (slides[["claim", "fact_2026", "runs", "source"]] != "").all(axis=None)
    assert len(platforms.since_the_slides("vertex")) == 6
