"""A process that does its work elsewhere: in a fork of the server that WARM names (warm.py).

It gives its arguments, environment, folder and streams away, hands on the signals it gets, and leaves with
the status of the fork. Where it is killed, so is the fork.
"""

import json
import os
import signal
import socket

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def leave(arguments) -> None:
    """Do what ``python ARGUMENTS`` does and end."""
    before = {number: signal.getsignal(number) for number in HANDED_ON}
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    line = start(os.environ["WARM"], arguments, os.environ, os.getcwd(), (0, 1, 2))
    with line, line.makefile() as answers:
        fork = int(answers.readline())
        for number in HANDED_ON:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: os.kill(fork, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
        status = int(answers.readline())
    os._exit(status if status >= 0 else 128 - status)


def start(server, arguments, environment, folder, streams) -> socket.socket:
    """The line on which the fork's number comes, and its status when it has ended."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(server)
    socket.send_fds(line, [b" "], streams)
    given = {"arguments": list(map(str, arguments)), "environment": dict(environment), "folder": str(folder)}
    line.sendall(json.dumps(given).encode() + b"\n")
    return line
