"""Isthmus on Ray Serve: the same application as a deployment of several replicas. Not run by us.

pip install 'isthmus[serve]' 'ray[serve]'
serve run deploy.ray_serve:app
"""

from __future__ import annotations

from ray import serve

from isthmus.generate.load import load
from isthmus.serve.app import application
from isthmus.serve.limits import Limits
from isthmus.serve.models import Models, Served
from isthmus.serve.service import Service

FOLDERS = {"en-fr": "/models/en-fr"}


def build() -> object:
    """The application of one replica, with its own models and its own decoder."""
    served = [Served(name, load(folder, threads=2)) for name, folder in FOLDERS.items()]
    return application(Service(Models(served), Limits()))


@serve.deployment(
    ray_actor_options={"num_cpus": 2},
    autoscaling_config={"min_replicas": 1, "max_replicas": 20},
    max_ongoing_requests=256,
)
@serve.ingress(build)
class Isthmus:
    """One replica."""


app = Isthmus.bind()
