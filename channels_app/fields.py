"""An encrypted column, and the rule for who may read it: code that needs the value, never a page or a log."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from encrypted_fields.fields import EncryptedFieldMixin


class SecretTextField(EncryptedFieldMixin, models.TextField):  # type: ignore[misc, type-arg]
    """Text encrypted with ENCRYPTION_KEY (several, newest first, while keys are being changed).

    django-fernet-encrypted-fields 0.4.0 keeps decrypt state on the shared field instance, turns "" into NULL and
    swallows a wrong key. Here a value is decrypted only when it comes from the database, and a wrong key says so.
    """

    @property
    def f(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])

    def get_prep_value(self, value: Any) -> str | None:
        value = models.TextField.get_prep_value(self, value)
        return None if value is None else self.f.encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if value is None:
            return None
        try:
            return self.f.decrypt(value.encode()).decode()
        except InvalidToken as error:
            where = f"{self.model.__name__}.{self.name}"
            raise ValueError(f"{where}: not decryptable with the current ENCRYPTION_KEY") from error

    def to_python(self, value: Any) -> Any:
        return models.TextField.to_python(self, value)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return models.TextField.clean(self, value, model_instance)
