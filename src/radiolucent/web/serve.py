"""Listening on this machine, and nowhere else."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator

import uvicorn

from radiolucent.errors import ConfigError
from radiolucent.web.app import make_app
from radiolucent.web.connections import FairProtocol
from radiolucent.web.study_context import StudyContext

__all__ = ["HOST", "run", "running"]

HOST = "127.0.0.1"


def _listen(port: int) -> socket.socket:
    """A socket on this machine; port 0 takes a free one.

    Raises:
        ConfigError: the port is taken.
    """
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((HOST, port))
        link.listen(128)  # from now on connections wait, so that the address may be told before the server runs
    except OSError as error:
        link.close()
        raise ConfigError(f"port {port} cannot be opened ({error.strerror}); give another with --port.") from error
    return link


def _server(context: StudyContext) -> uvicorn.Server:
    config = uvicorn.Config(
        make_app(context),
        http=FairProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="critical",  # failures go to the log of their own, without what was sent
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return uvicorn.Server(config)


def run(context: StudyContext, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` is called with the address before the first request.

    The films that readers open first are decoded before: they may all come at once.
    """
    with contextlib.closing(_listen(port)) as link:
        context.films.first(context.next_cases())
        context.port = link.getsockname()[1]
        ready(f"http://{HOST}:{context.port}")
        _server(context).run(sockets=[link])


@contextlib.contextmanager
def running(context: StudyContext) -> Generator[str]:
    """Serve from a thread on a free port while the block runs; gives the address."""
    with contextlib.closing(_listen(0)) as link:
        context.port = link.getsockname()[1]
        server = _server(context)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [link]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://{HOST}:{context.port}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
