"""How a program ends: with its own exit code, whatever the SDK's threads still do."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run(main: Callable[[], object]) -> NoReturn:
    """Run a program, and end the process with what it ends with: 0, or the code or the words of a SystemExit.

    The interpreter is not taken apart: a thread of the SDK that wants it meanwhile ends the process by SIGABRT
    (temporalio/sdk-python, issue 300), and whoever called would read what was done as failed.
    """
    code = 0
    try:
        main()
    except KeyboardInterrupt:
        pass
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  # shown as the interpreter shows it
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        # whoever read it may be gone
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
