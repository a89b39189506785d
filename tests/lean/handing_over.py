"""A process that has its work done elsewhere: in a fork of the server that WARM names (warm.py).

It gives its arguments, environment, folder and streams away, hands on the signals it gets, and leaves with
the status of the fork. The fork is killed when its caller is gone.
"""

import contextlib
import json
import os
import signal
import socket
import traceback

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def hand_over(arguments) -> None:
    """Do what ``python ARGUMENTS`` does and end. It never returns: the work would be done twice."""
    try:
        status = _status(arguments)
    except BaseException:
        traceback.print_exc()
        status = 1
    os._exit(status if status >= 0 else 128 - status)


def _status(arguments) -> int:
    before = {number: signal.getsignal(number) for number in HANDED_ON}
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    line = start(os.environ["WARM"], arguments, os.environ, os.getcwd(), (0, 1, 2))
    with line, line.makefile() as answers:
        fork = int(answers.readline())

        def handed_on(number, _frame):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(fork, number)

        for number in HANDED_ON:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, handed_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
        return int(answers.readline())


def start(server, arguments, environment, folder, streams) -> socket.socket:
    """The line on which the fork's number comes, and its status when it has ended."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(server)
    socket.send_fds(line, [b" "], streams)
    given = {"arguments": list(map(str, arguments)), "environment": dict(environment), "folder": str(folder)}
    line.sendall(json.dumps(given).encode() + b"\n")
    return line
