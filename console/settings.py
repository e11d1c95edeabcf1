"""What the process is told from outside, read once: environment first, flags over it; must not be asked for anywhere else."""

from pathlib import Path
from typing import Final

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DATA_DIR_DEFAULT: Final = Path(".tidegate")
"""Where the embedded engine keeps its log when nothing else is said."""


class Settings(BaseSettings):
    """Where the log is and how CBSA is reached. Variables are TIDEGATE_DATA, TIDEGATE_KAFKA and so on."""

    model_config = SettingsConfigDict(env_prefix="TIDEGATE_", frozen=True, extra="ignore")

    data: Path | None = None
    kafka: str | None = None
    topic_prefix: str = "tidegate."
    cache: Path | None = None
    authority: str | None = None
    authority_insecure: bool = False
    health: str | None = None
    health_open: bool = False
    tls_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None

    @model_validator(mode="after")
    def _one_engine(self) -> "Settings":
        if self.data is not None and self.kafka is not None:
            raise ValueError("give --data DIR for the embedded engine or --kafka BOOTSTRAP for Kafka, not both")
        return self
