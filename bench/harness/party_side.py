"""The side of a `Party` in Python, as party-side.ts is in Node."""

import json
import resource
import sys


def answer_questions(handlers):
    """Answers the questions of a `Party`, `usage` among them, one after the other until there are no more."""
    handlers = {"usage": usage, **handlers}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"id": question["id"], "result": handlers[question["name"]](question["argument"])}
        except Exception as error:  # Whatever it is, the benchmark reports it.
            answer = {"id": question["id"], "error": "%s: %s" % (type(error).__name__, error)}
        print(json.dumps(answer), flush=True)


def usage(_order):
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpuSeconds": used.ru_utime + used.ru_stime, "peakRssMiB": used.ru_maxrss / 1024}
