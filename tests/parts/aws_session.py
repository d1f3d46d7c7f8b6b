"""Many commands of the AWS CLI in one process, since each start of it takes a second.

    python aws_session.py < commands      each a JSON list of words; answered by [exit status, output, complaints]
"""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver


def run(words):
    out, complaints = io.StringIO(), io.StringIO()
    # What the CLI writes bytes to.
    out.buffer = io.BytesIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        try:
            status = create_clidriver().main(words)
        except SystemExit as end:
            status = end.code
    return status, out.getvalue() + out.buffer.getvalue().decode(), complaints.getvalue()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
