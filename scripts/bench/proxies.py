"""Which proxies are compared, and with which settings? All use every core, keep connections to the upstream alive and do not log."""

from dataclasses import dataclass

from rig import Process, Rig, free_port
from rig.processes import REPO

RELEASE = REPO / "target/release"


@dataclass
class Proxy:
    name: str
    process: Process
    port: int


def start_all(rig: Rig, upstream: int) -> list[Proxy]:
    starters = {"nginx": nginx, "HAProxy": haproxy, "bare Pingora": bare_pingora, "bare, no stealing": bare_without_stealing, "memgate": memgate}
    proxies = []
    for name, start in starters.items():
        port = free_port()
        process = start(rig, port, upstream)
        process.until_port(port)
        proxies.append(Proxy(name, process, port))
    return proxies


def start_upstream(rig: Rig, ca_file: str | None = None) -> tuple[Process, int]:
    """With a file for its CA, it speaks TLS."""
    port = free_port()
    options = [] if ca_file is None else [rig.folder / ca_file]
    process = rig.start("mock_upstream", [RELEASE / "examples/mock_upstream", f"127.0.0.1:{port}", *options])
    process.until_port(port)
    return process, port


def bare_pingora(rig: Rig, port: int, upstream: int) -> Process:
    return rig.start("bare_proxy", [RELEASE / "examples/bare_proxy", f"127.0.0.1:{port}", f"127.0.0.1:{upstream}"])


def bare_without_stealing(rig: Rig, port: int, upstream: int) -> Process:
    """The runtime that memgate chooses by default; Pingora's own default lets threads steal tasks."""
    arguments = [f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", "--no-steal"]
    return rig.start("bare_proxy", [RELEASE / "examples/bare_proxy", *arguments])


def memgate(rig: Rig, port: int, upstream: int) -> Process:
    """A model that is not direct: the body is held and scanned for its model, then goes to LiteLLM by plain HTTP."""
    config = rig.write("memgate.yaml", f"""\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{free_port()}
litellm:
  config: litellm.yaml
  urls: ["http://127.0.0.1:{upstream}"]
""")
    rig.write("litellm.yaml", "model_list: []\n")
    return rig.start("memgate", [RELEASE / "memgate", "run", "--config", config], {"RUST_LOG": "warn"})


def nginx(rig: Rig, port: int, upstream: int) -> Process:
    config = rig.write("nginx.conf", f"""\
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {rig.folder}/nginx.pid;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path {rig.folder}/nginx-body;
  proxy_temp_path {rig.folder}/nginx-proxy;
  fastcgi_temp_path {rig.folder}/nginx-fastcgi;
  uwsgi_temp_path {rig.folder}/nginx-uwsgi;
  scgi_temp_path {rig.folder}/nginx-scgi;
  client_max_body_size 32m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
""")
    return rig.start("nginx", ["nginx", "-p", rig.folder, "-c", config])


def haproxy(rig: Rig, port: int, upstream: int) -> Process:
    config = rig.write("haproxy.cfg", f"""\
global
  maxconn 9000
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend bench
  bind 127.0.0.1:{port}
  default_backend mock
backend mock
  server mock 127.0.0.1:{upstream}
""")
    return rig.start("haproxy", ["haproxy", "-db", "-f", config])
