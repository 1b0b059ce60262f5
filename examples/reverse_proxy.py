"""Labels over HTTP behind a reverse proxy: one public name, a path prefix, TLS, health checks.

    python examples/reverse_proxy.py RUN [--prefix /labels] [--port 8000]

Writes nginx.conf into a new folder, starts `striate serve RUN` on 127.0.0.1, waits until /ready
says so, and prints the two commands that are left to you. What the two agree on:

- The proxy takes the prefix off (`proxy_pass` ends in a slash). Nothing that striate answers holds
  an absolute address, its page included, so it needs to be told of no prefix.
- X-Forwarded-For and its kin are for the proxy's own log: the server believes no header about who
  asks. `X-Request-Id` ties both logs together; it comes back with the answer.
- Bodies: `client_max_body_size` is a little above `--max-body`, so that whoever sends too much
  hears from striate, in JSON. Images are not kept on the proxy's disk (`proxy_request_buffering`).
- Busy is 503 with Retry-After, at once. The proxy must not try again elsewhere for a POST.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from urllib.error import URLError
from urllib.request import urlopen

NGINX = """\
events {{}}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
http {{
  access_log off;  client_body_temp_path {folder}/body;  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f;  uwsgi_temp_path {folder}/u;  scgi_temp_path {folder}/s;
  upstream striate {{ server 127.0.0.1:{port} max_fails=0; keepalive 16; }}
  server {{
    listen 127.0.0.1:{public};              # 443 ssl, with ssl_certificate and its key
    client_max_body_size 17m;               # serve's own --max-body is 16
    location {prefix}/ {{
      proxy_pass http://striate/;           # the slash takes {prefix} off
      proxy_http_version 1.1;  proxy_set_header Connection "";
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_request_buffering off;
      proxy_read_timeout 35s;               # serve's own --timeout is 30
      proxy_next_upstream off;
    }}
    location = {prefix}/metrics {{ deny all; }}
  }}
}}
"""


def wait(address: str, seconds: float = 60) -> None:
    """Return when the server is ready, as a load balancer's health check sees it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urlopen(f"{address}/ready") as answer:
                return print(f"{address}/ready: {answer.status}")
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise TimeoutError(f"{address} is not ready after {seconds:g} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("run")
    parser.add_argument("--prefix", default="/labels")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--public", type=int, default=8080)
    chosen, folder = parser.parse_args(), mkdtemp()
    Path(folder, "nginx.conf").write_text(NGINX.format(folder=folder, **vars(chosen)))
    command = [sys.executable, "-m", "striate", "serve", chosen.run, "--port", str(chosen.port)]
    with subprocess.Popen(command) as server:
        wait(f"http://127.0.0.1:{chosen.port}")
        print(f"nginx -c {folder}/nginx.conf -g 'daemon off;'")
        public = f"http://127.0.0.1:{chosen.public}{chosen.prefix}"
        print(f"curl --data-binary @photo.jpg {public}/predict")
        server.wait()
