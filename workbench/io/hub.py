"""Models of the Hugging Face hub, copied to the user's cache when asked for by id, and opened from there."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.core.errors import MissingError, StorageError
from workbench.io.files import need

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_UNWANTED = ("*/*", "consolidated*", "*.fp16.*", "*.bf16.*")


def fetch(name: str) -> Path:
    """Copy a model's safetensors, configuration and tokenizer from the hub, or find the copy made before.

    Raises
    ------
    MissingError
        The hub can't be reached and there is no copy, it has no such model, or it wants a login.
    StorageError
        The copy can't be written.
    """
    need("huggingface_hub", f"Getting {name} from the hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)))
    except GatedRepoError:
        raise MissingError(
            f"{name} wants its terms accepted: do so on its page of the hub, then log in with: hf auth login."
        ) from None
    except RepositoryNotFoundError:
        raise MissingError(
            f"The hub has no model {name!r}, or it is private: check the id, or log in with: hf auth login."
        ) from None
    except HFValidationError as e:
        raise MissingError(
            f"{name!r} is no hub id ({e}). Give a path, a bundled name or owner/model."
        ) from None
    except (
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        HfHubHTTPError,
        ConnectionError,
        TimeoutError,
    ) as e:
        raise MissingError(
            f"There is no file {name!r}, and as a model of the Hugging Face hub it can't be had: the hub can't be "
            f"reached ({type(e).__name__}) and the local cache has no copy. Connect, or download the model's "
            f"folder elsewhere and open that path."
        ) from None
    except OSError as e:
        raise StorageError(
            f"The copy of {name} can't be written ({e.strerror or e}). Make room, or name another folder in HF_HUB_CACHE."
        ) from None
