"""The proxies that `bench/gateway` compares: how each is configured and started, and what it uses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from client import Server, free_port

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def family(root):
    """The process `root` and all that it started."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def cpu_seconds(root):
    """User and system time of `root` and all that it started."""
    total = 0
    for pid in family(root):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(root):
    """Resident memory of `root` and all that it started."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family(root)) * PAGE / 2**20


def lla(binary, upstream, folder, log_level):
    port = free_port()
    config = folder / "lla.toml"
    config.write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\nmax_in_flight = 4096\n'
        f'[log]\nlevel = "{log_level}"\n'
        f'[backends.mock]\nurl = "{upstream}"\ndialect = "generic"\n'
    )
    environment = {"LLA_HOME": str(folder / "lla-home")}
    command = [binary, "serve", "--config", str(config)]
    return Server("lla", command, f"http://127.0.0.1:{port}", folder / "lla.log", environment).wait_ready("/health/ready")


def nginx(binary, upstream, folder):
    """A plain reverse proxy: kept connections on both sides, nothing held back, a log line per request."""
    port = free_port()
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir()
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {os.cpu_count()};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    client_body_buffer_size 128k;
    upstream mock {{
        server {upstream.removeprefix("http://")};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
""")
    command = [binary, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx-error.log")]
    return Server("nginx", command, f"http://127.0.0.1:{port}", folder / "nginx.log").wait_ready("/health")


def litellm(binary, upstream, folder, models, key):
    port = free_port()
    config = folder / "litellm.yaml"
    entry = """  - model_name: {name}
    litellm_params:
      model: openai/{name}
      api_base: {upstream}/v1
      api_key: sk-bench
"""
    entries = "".join(entry.format(name=name, upstream=upstream) for name in models)
    config.write_text(f"model_list:\n{entries}litellm_settings:\n  telemetry: false\n")
    environment = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1,localhost"}
    command = [binary, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    server = Server("litellm", command, f"http://127.0.0.1:{port}", folder / "litellm.log", environment)
    return server.wait_ready("/health/liveliness")


def find_nginx(given):
    """The program, or `None`."""
    return given or shutil.which("nginx") or next((path for path in ["/usr/sbin/nginx"] if os.path.exists(path)), None)


def find_litellm(given, place):
    """The program; without one, its package is installed below `place` first."""
    if given:
        return given
    program = place / "bin" / "litellm"
    if not program.exists():
        print(f"installing litellm[proxy] into {place} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin" / "pip", "install", "--quiet", "litellm[proxy]"], check=True)
    return str(program)
