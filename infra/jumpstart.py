"""JumpStart models that an endpoint can be created for: containers, weights and environment.

Amazon keeps these values behind the SageMaker SDK and changes them with each version of a model. They were read from
the model list of `cdklabs.generative-ai-cdk-constructs` 0.1.320 (PyPI, July 2026), and compared with what its construct
synthesizes. Nobody has started these endpoints from here: `text2image doctor --invoke` tells whether one works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_MOST_REGIONS = "763104351884"

CONTAINER_ACCOUNTS: Mapping[str, str] = MappingProxyType(
    {
        "af-south-1": "626614931356",
        "ap-east-1": "871362719292",
        "ap-northeast-1": _MOST_REGIONS,
        "ap-northeast-2": _MOST_REGIONS,
        "ap-northeast-3": "364406365360",
        "ap-south-1": _MOST_REGIONS,
        "ap-southeast-1": _MOST_REGIONS,
        "ap-southeast-2": _MOST_REGIONS,
        "ap-southeast-3": "907027046896",
        "ca-central-1": _MOST_REGIONS,
        "eu-central-1": _MOST_REGIONS,
        "eu-north-1": _MOST_REGIONS,
        "eu-south-1": "692866216735",
        "eu-west-1": _MOST_REGIONS,
        "eu-west-2": _MOST_REGIONS,
        "eu-west-3": _MOST_REGIONS,
        "il-central-1": "780543022126",
        "me-central-1": "914824155844",
        "me-south-1": "217643126080",
        "sa-east-1": _MOST_REGIONS,
        "us-east-1": _MOST_REGIONS,
        "us-east-2": _MOST_REGIONS,
        "us-west-1": _MOST_REGIONS,
        "us-west-2": _MOST_REGIONS,
    }
)
"""Region -> the account of AWS' deep learning containers, where JumpStart is. Without China and GovCloud."""

STARTUP_SECONDS = 600
"""How long a container may take to load its weights, as the construct above has it. SageMaker's default is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpStartModel:
    """A model at one version. `tag` is of the container `repository`; `data_key` is where the weights are in
    JumpStart's bucket of the region: a folder, or an archive if it ends with .tar.gz.

    There is no size of a volume: the instances have disks of their own, for which SageMaker takes none, or enough.
    """

    model_id: str
    version: str
    repository: str
    tag: str
    data_key: str
    environment: Mapping[str, str]
    codec: str
    instance_types: Sequence[str]
    startup_seconds: int = STARTUP_SECONDS

    def repository_arn(self, region: str) -> str:
        """Where the container is pulled from. Raises KeyError for a region that is not in CONTAINER_ACCOUNTS."""
        return f"arn:aws:ecr:{region}:{CONTAINER_ACCOUNTS[region]}:repository/{self.repository}"

    def image(self, region: str) -> str:
        """The container. Raises KeyError for a region that is not in CONTAINER_ACCOUNTS."""
        return f"{CONTAINER_ACCOUNTS[region]}.dkr.ecr.{region}.amazonaws.com/{self.repository}:{self.tag}"

    def bucket(self, region: str) -> str:
        """The bucket of the weights, which is Amazon's, and open to all."""
        return f"jumpstart-cache-prod-{region}"

    def data_url(self, region: str) -> str:
        """The weights, as s3://..."""
        return f"s3://{self.bucket(region)}/{self.data_key}"

    @property
    def is_archive(self) -> bool:
        """Whether the weights are one compressed archive, not a folder of files."""
        return self.data_key.endswith(".tar.gz")


_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "ENDPOINT_SERVER_TIMEOUT": "3600",
        "MODEL_CACHE_ROOT": "/opt/ml/model",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_ENV": "1",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "SAGEMAKER_PROGRAM": "inference.py",
    }
)
"""Of all of them. JumpStart's SAGEMAKER_SUBMIT_DIRECTORY is left out, as the construct does where the code lies beside
the weights."""

# Multi Model Server answers 6.5 MB unless told otherwise: too little for several images, or one as RGB integers.
_MULTI_MODEL_SERVER: Mapping[str, str] = MappingProxyType({**_ENVIRONMENT, "MMS_MAX_RESPONSE_SIZE": "20000000"})

_LARGE_GPUS = ("ml.p3.2xlarge", "ml.g4dn.4xlarge", "ml.g4dn.8xlarge", "ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g5.8xlarge")

MODELS: Mapping[str, JumpStartModel] = MappingProxyType(
    {
        "stable-diffusion-2-1-base": JumpStartModel(
            model_id="model-txt2img-stabilityai-stable-diffusion-v2-1-base",
            version="2.0.20",
            repository="huggingface-pytorch-inference",
            tag="1.10.2-transformers4.17.0-gpu-py38-cu113-ubuntu20.04",
            data_key="stabilityai-txt2img/model-txt2img-stabilityai-stable-diffusion-v2-1-base/"
            "artifacts/inference-prepack/v1.0.0/",
            environment=_MULTI_MODEL_SERVER,
            codec="jumpstart-sd",
            instance_types=_LARGE_GPUS,
        ),
        "stable-diffusion-1-4": JumpStartModel(
            model_id="model-txt2img-stabilityai-stable-diffusion-v1-4",
            version="2.1.11",
            repository="huggingface-pytorch-inference",
            tag="2.3.0-transformers4.48.0-gpu-py311-cu121-ubuntu22.04",
            data_key="stabilityai-txt2img/model-txt2img-stabilityai-stable-diffusion-v1-4/"
            "artifacts/inference-prepack/v1.0.0/",
            environment=_MULTI_MODEL_SERVER,
            codec="jumpstart-sd",
            instance_types=_LARGE_GPUS,
        ),
        # Made for 1024x1024 pixels; smaller ones turn out badly.
        "stable-diffusion-xl-1-0": JumpStartModel(
            model_id="model-imagegeneration-stabilityai-stable-diffusion-xl-base-1-0",
            version="1.0.15",
            repository="stabilityai-pytorch-inference",
            tag="2.0.1-sgm0.1.0-gpu-py310-cu118-ubuntu20.04-sagemaker",
            data_key="stabilityai-infer/prepack/v1.0.1/"
            "infer-prepack-model-imagegeneration-stabilityai-stable-diffusion-xl-base-1-0.tar.gz",
            environment=MappingProxyType({**_ENVIRONMENT, "SAI_MODEL_CACHE_FILE": "stabilityai-model-cache.tar.gz"}),
            codec="jumpstart-imagegeneration",
            instance_types=("ml.g5.4xlarge", "ml.g5.8xlarge", "ml.g5.16xlarge"),
        ),
    }
)
"""What DEPLOY_MODEL may say -> the model. Both of the first were trained at 512x512 pixels."""
