"""Settings of the program as environment variables, checked by the program itself while the template is made."""

from __future__ import annotations

import aws_cdk as cdk
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from graphql_api.settings import Settings

PREFIX = str(Settings.model_config["env_prefix"])


class _Given(Settings):
    """Settings without those of the shell that makes the template."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def variables(**settings: str | float) -> dict[str, str]:
    """Environment variables TEXT2IMAGE_<NAME>, by the names of the fields of Settings.

    A value that only CloudFormation will know is passed on as it is. Raises ValueError for a name that is no setting,
    for a secret, which must not stand in a template, and for a value that the program would refuse.
    """
    for name in settings:
        if name not in Settings.model_fields:
            raise ValueError(f"{name} is no setting of the program")
        if Settings.model_fields[name].annotation is SecretStr:
            raise ValueError(f"{name} is a secret: ECS injects it")
    texts = {name: _text(value) for name, value in settings.items()}
    try:
        _Given.model_validate({name: text for name, text in texts.items() if not cdk.Token.is_unresolved(text)})
    except ValidationError as error:
        raise ValueError(f"the program refuses its settings: {error}") from None
    return {variable(name): text for name, text in texts.items()}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
