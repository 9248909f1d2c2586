"""The models that an endpoint can be created for."""

from __future__ import annotations

import re

import pytest

from graphql_api.codecs import CODECS
from infra.config import Config
from infra.jumpstart import CONTAINER_ACCOUNTS, MODELS
from tests.infra.small_stack import a_config


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_program_has_the_codec_of_each_model(name: str) -> None:
    assert MODELS[name].codec in CODECS


def test_configuration_takes_each_model_and_its_instances(name: str) -> None:
    for instance_type in MODELS[name].instance_types:
        config = a_config(MODEL=name, INSTANCE_TYPE=instance_type)
        assert config.creates_endpoint


def test_model_of_the_guide_runs_on_the_instance_that_is_the_default() -> None:
    assert Config.model_fields["instance_type"].default in MODELS["stable-diffusion-2-1-base"].instance_types


def test_values_are_those_that_jumpstarts_own_construct_synthesizes() -> None:
    """Its template for this model in eu-central-1, version 0.1.320 of the package."""
    model = MODELS["stable-diffusion-2-1-base"]
    assert model.image("eu-central-1") == (
        "763104351884.dkr.ecr.eu-central-1.amazonaws.com/"
        "huggingface-pytorch-inference:1.10.2-transformers4.17.0-gpu-py38-cu113-ubuntu20.04"
    )
    assert model.data_url("eu-central-1") == (
        "s3://jumpstart-cache-prod-eu-central-1/stabilityai-txt2img/"
        "model-txt2img-stabilityai-stable-diffusion-v2-1-base/artifacts/inference-prepack/v1.0.0/"
    )
    assert model.repository_arn("eu-central-1") == (
        "arn:aws:ecr:eu-central-1:763104351884:repository/huggingface-pytorch-inference"
    )
    assert dict(model.environment) == {
        "ENDPOINT_SERVER_TIMEOUT": "3600",
        "MODEL_CACHE_ROOT": "/opt/ml/model",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_ENV": "1",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_PROGRAM": "inference.py",
        # This one is ours.
        "MMS_MAX_RESPONSE_SIZE": "20000000",
    }


def test_weights_are_a_folder_or_an_archive_as_their_place_says(name: str) -> None:
    model = MODELS[name]
    assert model.is_archive is not model.data_key.endswith("/")
    assert not model.data_key.startswith("/")


def test_regions_have_accounts_that_look_like_some() -> None:
    assert {"us-east-1", "eu-central-1"} <= set(CONTAINER_ACCOUNTS)
    for region, account in CONTAINER_ACCOUNTS.items():
        assert a_config(REGION=region).region == region
        assert re.fullmatch(r"\d{12}", account)


def test_unknown_region_has_no_container(name: str) -> None:
    with pytest.raises(KeyError):
        MODELS[name].image("mars-north-1")
