"""A program ends with its own exit code: what was done is not read as failed because a thread still ran."""

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.mark.parametrize(
    ("body", "code", "output", "error"),
    [
        ("print('done')", 0, "done\n", ""),
        ("print('done'); raise SystemExit", 0, "done\n", ""),
        ("print('some'); raise SystemExit(3)", 3, "some\n", ""),
        ("raise SystemExit('no engine')", 1, "", "no engine\n"),
        ("raise KeyboardInterrupt", 0, "", ""),
        ("raise ValueError('broken')", 1, "", "ValueError: broken\n"),
        ("sys.stdout.write('no end of line')", 0, "no end of line", ""),
    ],
)
def test_a_program_ends_with_its_own_code_and_all_that_it_said(body: str, code: int, output: str, error: str) -> None:
    """A thread that never ends, as the SDK's do, changes neither."""
    program = f"""
        import sys, threading, time
        from operations import program

        def main():
            threading.Thread(target=time.sleep, args=(600,)).start()
            {body}

        program.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (code, output)
    assert done.stderr.endswith(error)
    assert error or not done.stderr


def test_a_reader_that_left_changes_no_code() -> None:
    """As with `| true`: what was done is done."""
    program = "from operations import program; program.run(lambda: print('x'))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
        assert done.wait(60) == 0
