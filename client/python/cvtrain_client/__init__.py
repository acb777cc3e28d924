"""cvtrain from Python: submit experiments, follow them, read their metrics.

A thin layer over the generated stubs (see ../generate.py); everything that it returns is a message
of cvtrain.v1, and `Client.experiments`, `Client.trials`, ... are the stubs themselves.
"""

from .client import Client, CvtrainError
from .spec import spec_from_dict

__all__ = ["Client", "CvtrainError", "spec_from_dict"]
