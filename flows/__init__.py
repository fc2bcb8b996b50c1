"""In which order the stages run: Prefect flows and the command line."""

import os
import sys

# A tasks.py or a pandas.py that lies on the user's PYTHONPATH is meant for his own programs: here it comes last.
_HIS = {os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place}  # noqa: PTH100
sys.path.sort(key=_HIS.__contains__)

from labelwise.tasks.services.urls import ask_directly  # noqa: E402

ask_directly()  # before any client is made: Prefect's makes them when a flow is imported by one of its processes
