"""What a gunicorn pod serves: a sleep of `config.service` of its measured case, as JSON in the variable SERVICE."""

import json
import math
import os
import random
import time

LAW = json.loads(os.environ["SERVICE"])


def draw(law):
    """Seconds of a law."""
    kind = law["kind"]
    if kind == "exp":
        return random.expovariate(1 / law["mean_s"])
    if kind == "uniform":
        return random.uniform(law["lo_s"], law["hi_s"])
    if kind == "lognormal":
        return random.lognormvariate(math.log(law["mean_s"]) - law["sigma"] ** 2 / 2, law["sigma"])
    return law["mean_s"]


def application(environ, start_response):
    """The WSGI application."""
    if environ["PATH_INFO"] != "/warm":
        time.sleep(draw(LAW))
    body = b"x" * 100
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
