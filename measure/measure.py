#!/usr/bin/env python3
"""Measures cases: real nginx, HAProxy, Node.js, gunicorn, PostgreSQL and PgBouncer on the loopback of this machine.

    measure.py CASE.json... --out DIR [--repetitions N] [--baseline FILE] [--records DIR]
    measure.py --constants FILE

Reads `config` of each case (docs/measuring.md has the form), runs it in a network namespace of its own with new processes for
each repetition, and writes the case with what was observed to DIR. With `--constants` it measures the constants of this machine,
which `--baseline` puts into cases. Needs root, util-linux, iproute2, the load generator (`cargo build --release` in this folder), and the
programs that a case names; pods that use a database need `npm install` in this folder.
"""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENTRY_PORT = 8080
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Repetition:
    """One run of a configuration; its processes end with it."""

    def __init__(self, config, seed, program, folder):
        self.config = config
        for index, pod in enumerate(config.get("pods") or []):
            pod.setdefault("port", 7001 + index)
            if pod.get("db"):
                pod["db"] = {"host": "127.0.0.1", "port": 5433, "user": "app", "password": "app", "database": "app", **pod["db"]}
        if config.get("lambda"):
            config["lambda"].setdefault("port", 7050)
            config["lambda"].setdefault("dsn", "host=127.0.0.1 port=5433 user=app password=app dbname=app")
        self.seed = seed
        self.program = program
        self.folder = Path(folder)
        self.processes = []
        self.pods = {}
        self.idle_descriptors = []

    def start(self, command, env=None, **options):
        """Starts a process of this repetition."""
        log = open(self.folder / f"{len(self.processes)}.log", "w")
        process = subprocess.Popen(
            [str(word) for word in command], stdout=options.pop("stdout", log), stderr=log, env={**os.environ, **(env or {})}, **options
        )
        self.processes.append(process)
        return process

    def run(self):
        """Everything, from empty to the records of the load."""
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for name, value in (self.config.get("sysctl") or {}).items():
            Path("/proc/sys", name.replace(".", "/")).write_text(str(value))
        try:
            self.databases()
            for index, pod in enumerate(self.config.get("pods") or []):
                if not pod.get("initially_down"):
                    self.start_pod(index)
            targets = self.entry()
            time.sleep(0.3)
            before = tcp_counters()
            records, unfinished = self.load(targets)
            after = tcp_counters()
            seen = {"tcp_counters": {name: after[name] - before[name] for name in TCP_COUNTERS}, "pod_stats": self.pod_stats()}
            if self.config["load"]["entry"] == "nginx":
                seen["nginx_requests_per_worker"] = self.requests_per_worker()
            return records, unfinished, seen
        finally:
            for process in reversed(self.processes):
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT if "postgres" in str(process.args[-1]) else signal.SIGTERM)
            for process in self.processes:
                try:
                    process.wait(3)
                except subprocess.TimeoutExpired:
                    process.kill()

    def databases(self):
        """PostgreSQL and PgBouncer."""
        if postgres := self.config.get("postgres"):
            data = self.folder / "postgres"
            data.mkdir()
            shutil.chown(data, "postgres", "postgres")
            os.chmod(self.folder, 0o755)
            program = POSTGRES[-1]
            as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            auth = postgres.get("auth") or "trust"
            subprocess.run([*as_postgres, program / "initdb", "-D", data, "-A", "trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL)
            data.joinpath("pg_hba.conf").write_text(f"host all postgres 127.0.0.1/32 trust\nhost all app 127.0.0.1/32 {auth}\n")
            settings = {
                "port": postgres.get("port", 5433),
                "max_connections": postgres["max_connections"],
                "superuser_reserved_connections": postgres.get("superuser_reserved", 3),
                "unix_socket_directories": "",
                "max_wal_senders": 0,
                **(postgres.get("settings") or {}),
            }
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            self.start([*as_postgres, program / "postgres", "-D", data, *options])
            address = ["-h", "127.0.0.1", "-p", settings["port"]]
            await_true(lambda: subprocess.run([program / "pg_isready", "-q", *map(str, address)]).returncode == 0)
            for order in ("create role app login password 'app'", "create database app owner app"):
                subprocess.run([program / "psql", "-q", "-U", "postgres", *map(str, address), "-c", order, "postgres"], check=True)
        if bouncer := self.config.get("pgbouncer"):
            users = self.folder / "users.txt"
            users.write_text('"app" "app"\n')
            ini = self.folder / "pgbouncer.ini"
            lines = {
                "listen_addr": "127.0.0.1",
                "listen_port": bouncer.get("listen_port", 6432),
                "unix_socket_dir": "",
                "auth_type": "trust",
                "auth_file": users,
                "pool_mode": bouncer.get("pool_mode", "transaction"),
                "default_pool_size": bouncer.get("default_pool_size", 20),
                "max_client_conn": bouncer.get("max_client_conn", 100),
                "query_wait_timeout": bouncer.get("query_wait_timeout_s", 120),
                "listen_backlog": bouncer.get("listen_backlog", 128),
                "ignore_startup_parameters": "extra_float_digits",
            }
            text = "".join(f"{name} = {value}\n" for name, value in lines.items())
            ini.write_text(f"[databases]\napp = host=127.0.0.1 port=5433 dbname=app user=app password=app\n[pgbouncer]\n{text}")
            as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            self.start([*as_postgres, "pgbouncer", ini])
            await_port(lines["listen_port"])

    def start_pod(self, index):
        """A pod of Node.js or gunicorn, warm."""
        pod = self.config["pods"][index]
        if pod["kind"] == "gunicorn":
            command = ["gunicorn", "-b", f"127.0.0.1:{pod['port']}", "-w", pod["workers"], "--backlog", pod.get("backlog") or 2048]
            command += ["--timeout", pod.get("worker_timeout_s") or 120, "--chdir", HERE, "app:application"]
            if (pod.get("threads") or 1) > 1:
                command[1:1] = ["--threads", pod["threads"]]
            self.pods[index] = self.start(command, {"SERVICE": json.dumps(pod["service"])})
            await_port(pod["port"])
            time.sleep(0.5)
            return
        self.pods[index] = self.start(["node", HERE / "pod.js", json.dumps(pod)], cwd=HERE)
        await_port(pod["port"])
        for _ in range(400):
            urllib.request.urlopen(f"http://127.0.0.1:{pod['port']}/warm").read()

    def entry(self):
        """What clients connect to; its addresses."""
        entry = self.config["load"]["entry"]
        ports = [pod["port"] for pod in self.config.get("pods") or []]
        if entry == "nginx":
            path = self.folder / "nginx.conf"
            path.write_text(nginx_conf(self.config["nginx"], ports, self.folder))
            master = self.start(["nginx", "-c", path, "-e", self.folder / "error.log", "-p", self.folder])
            await_port(ENTRY_PORT)
            time.sleep(0.1)
            workers = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
            self.idle_descriptors = sorted(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in workers)
        elif entry == "haproxy":
            path = self.folder / "haproxy.cfg"
            path.write_text(haproxy_cfg(self.config["haproxy"], ports))
            self.start(["haproxy", "-db", "-f", path])
            await_port(ENTRY_PORT)
        elif entry == "nodeport":
            rule = ["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "127.0.0.1", "--dport", str(ENTRY_PORT)]
            for index, port in enumerate(ports):
                chance = 1 / (len(ports) - index)
                match = [] if chance == 1 else ["-m", "statistic", "--mode", "random", "--probability", f"{chance:.10f}"]
                subprocess.run([*rule, *match, "-j", "DNAT", "--to-destination", f"127.0.0.1:{port}"], check=True)
        elif entry == "lambda":
            platform = self.config["lambda"]
            process = self.start([self.program, "lambda"], stdin=subprocess.PIPE)
            process.stdin.write(json.dumps({**platform, "seed": self.seed}).encode())
            process.stdin.close()
            await_port(platform["port"])
            return [f"127.0.0.1:{platform['port']}"]
        if entry == "pods":
            return [f"127.0.0.1:{port}" for port in ports]
        return [f"127.0.0.1:{ENTRY_PORT}"]

    def load(self, targets):
        """Runs the load and what happens meanwhile; its records."""
        events = sorted(self.config.get("events") or [], key=lambda event: event["t_s"])
        for event in events:
            if event["t_s"] < 0:
                self.happen(event)
        if events and events[0]["t_s"] < 0:
            time.sleep(-events[0]["t_s"])
        load = {**self.config["load"], "targets": targets, "seed": self.seed}
        process = self.start([self.program, "load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(json.dumps(load).encode())
        process.stdin.close()
        assert process.stdout.readline() == b"started\n"
        start = time.monotonic()
        timers = [threading.Timer(event["t_s"] - (time.monotonic() - start), self.happen, [event]) for event in events if event["t_s"] >= 0]
        for timer in timers:
            timer.daemon = True
            timer.start()
        lines = [json.loads(line) for line in process.stdout]
        for timer in timers:
            timer.cancel()
        return lines[:-1], lines[-1]["unfinished"]

    def pod_stats(self):
        """What the first pod has to say of its own times, milliseconds."""
        pods = self.config.get("pods") or [{}]
        if pods[0].get("kind") != "node" or self.pods[0].poll() is not None:
            return {}
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{pods[0]['port']}/stats"))

    def requests_per_worker(self):
        """Requests that nginx's workers wrote down, the busiest first."""
        workers = (self.folder / "access.log").read_text().split()
        return sorted((workers.count(worker) for worker in set(workers)), reverse=True)

    def happen(self, event):
        """An event at a pod."""
        index = event["pod"]
        action = event["action"]
        if action == "start":
            self.start_pod(index)
        elif action == "block":
            port = self.config["pods"][index]["port"]
            urllib.request.urlopen(f"http://127.0.0.1:{port}/block/{event['ms']}").read()
        else:
            self.pods[index].send_signal(getattr(signal, action.upper()))


def nginx_conf(nginx, ports, folder):
    """nginx.conf of a case."""
    upstream = nginx.get("upstream") or {}

    def server(port):
        words = [f"server 127.0.0.1:{port}"]
        for name in ("max_fails", "max_conns"):
            if upstream.get(name) is not None:
                words.append(f"{name}={upstream[name]}")
        if upstream.get("fail_timeout_s") is not None:
            words.append(f"fail_timeout={upstream['fail_timeout_s']:g}s")
        return " ".join(words) + ";"

    method = {None: "", "round_robin": "", "random": "random;", "least_conn": "least_conn;", "ip_hash": "ip_hash;"}[upstream.get("lb")]
    kept = f"keepalive {upstream['keepalive']};" if upstream.get("keepalive") else ""
    again = 'proxy_http_version 1.1; proxy_set_header Connection "";' if kept else ""

    def flag(name):
        return "on" if nginx.get(name) else "off"

    listen = f"{ENTRY_PORT} backlog={nginx.get('backlog') or 511}" + (" reuseport" if nginx.get("reuseport") else "")
    milliseconds = {name: f"{1000 * nginx[key]:.0f}ms" for name, key in TIMEOUTS.items() if nginx.get(key) is not None}
    timeouts = " ".join(f"{name} {value};" for name, value in milliseconds.items())
    return f"""daemon off; user root; pid {folder}/nginx.pid;
worker_processes {nginx["worker_processes"]};
{f"worker_rlimit_nofile {nginx['worker_rlimit_nofile']};" if nginx.get("worker_rlimit_nofile") else ""}
events {{ worker_connections {nginx["worker_connections"]}; multi_accept {flag("multi_accept")}; accept_mutex {flag("accept_mutex")}; }}
http {{
  log_format worker $pid; access_log {folder}/access.log worker; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  keepalive_requests {nginx.get("keepalive_requests") or 1000};
  upstream pods {{ {method} {"zone pods 64k;" if upstream.get("zone") else ""} {" ".join(map(server, ports))} {kept} }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://pods; {again} {timeouts}
      proxy_next_upstream {nginx.get("proxy_next_upstream") or "error timeout"};
      proxy_next_upstream_tries {nginx.get("proxy_next_upstream_tries") or 0};
      proxy_next_upstream_timeout {nginx.get("proxy_next_upstream_timeout_s") or 0:g}s;
    }}
  }}
}}
"""


TIMEOUTS = {
    "keepalive_timeout": "keepalive_timeout_s",
    "proxy_connect_timeout": "proxy_connect_timeout_s",
    "proxy_read_timeout": "proxy_read_timeout_s",
    "proxy_send_timeout": "proxy_send_timeout_s",
}


def haproxy_cfg(haproxy, ports):
    """haproxy.cfg of a case."""
    most = f" maxconn {haproxy['server_maxconn']}" if haproxy.get("server_maxconn") else ""
    servers = "\n".join(f"  server s{port} 127.0.0.1:{port}{most}" for port in ports)

    def time_of(name, default):
        return f"{1000 * (haproxy.get(f'timeout_{name}_s') or default):.0f}ms"

    return f"""global
  maxconn {haproxy.get("maxconn") or 8000}
defaults
  mode http
  retries {haproxy.get("retries", 3)}
  timeout connect {time_of("connect", 5)}
  timeout server {time_of("server", 60)}
  timeout queue {time_of("queue", 60)}
  timeout client {time_of("client", 600)}
frontend f
  bind 127.0.0.1:{ENTRY_PORT} backlog {haproxy.get("backlog") or 4096}
  default_backend b
backend b
  balance {haproxy.get("balance") or "roundrobin"}
{servers}
"""


def await_true(condition, seconds=15):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("a server did not start")
        time.sleep(0.02)


def await_port(port):
    """Waits until somebody listens, without a connection: the first accepted one may count."""
    hexadecimal = f":{port:04X} 00000000:0000 0A"
    await_true(lambda: hexadecimal in Path("/proc/net/tcp").read_text() or f":{port:04X} " in listening6())


def listening6():
    """Local ports on which IPv6 sockets listen, each as `:PORT `."""
    lines = [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
    return " ".join(":" + words[1].rsplit(":", 1)[1] for words in lines if words[3] == "0A") + " "


# What the kernel counts of a namespace (man 8 nstat): connections that found a full listen queue, SYNs sent again, retransmission timeouts.
TCP_COUNTERS = ["ListenOverflows", "TCPSynRetrans", "TCPTimeouts"]


def tcp_counters():
    """Counters of TCP so far."""
    names, values = (line.split() for line in Path("/proc/net/netstat").read_text().splitlines()[:2])
    return dict(zip(names[1:], map(int, values[1:])))


def quantile(ordered, share):
    """A quantile by linear interpolation between ranks."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def figures(config, records, unfinished):
    """What one repetition observed."""
    ok = [record for record in records if record["outcome"] == "ok"]
    errors = {}
    for record in records:
        if record["outcome"] != "ok":
            errors[record["outcome"]] = errors.get(record["outcome"], 0) + 1
    duration = config["load"]["duration_s"]
    in_time = sum(record["start"] + record["took"] <= duration for record in ok)
    return {
        "logical_requests": len(records),
        "unfinished_at_end": unfinished,
        "ok": len(ok),
        "success_rate": len(ok) / len(records) if records else 0.0,
        "success_rate_counting_unfinished": len(ok) / (len(records) + unfinished) if records or unfinished else 0.0,
        "throughput_ok_rps": in_time / duration,
        "attempts_per_request": sum(record["attempts"] for record in records) / len(records) if records else 0.0,
        "errors": errors,
        "latency_ms": quantiles(record for record in ok),
        "error_latency_ms": {kind: quantiles(record for record in records if record["outcome"] == kind) for kind in errors},
    }


def quantiles(records):
    """Quantiles of how long requests took, milliseconds."""
    times = sorted(1000 * record["took"] for record in records)
    return {f"p{percent}": quantile(times, percent / 100) for percent in (50, 90, 95, 99)} if times else {}


def spread(values):
    """Mean, standard deviation and range over repetitions."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "sd": deviation, "min": min(values), "max": max(values)}


def summary(repetitions):
    """Every figure over all repetitions."""
    plain = ["success_rate", "success_rate_counting_unfinished", "unfinished_at_end", "throughput_ok_rps", "attempts_per_request"]
    result = {name: spread([one[name] for one in repetitions]) for name in (*plain, "logical_requests")}
    latencies = [one["latency_ms"] for one in repetitions if one["latency_ms"]]
    result["latency_ms"] = {name: spread([one[name] for one in latencies]) for name in (latencies[0] if latencies else {})}
    result["pod_stats"] = {name: spread([one["pod_stats"][name] for one in repetitions]) for name in repetitions[0]["pod_stats"]}
    kinds = sorted({kind for one in repetitions for kind in one["errors"]})
    result["error_latency_ms"] = {}
    for kind in kinds:
        times = [one["error_latency_ms"][kind] for one in repetitions if kind in one["errors"]]
        result["error_latency_ms"][kind] = {name: spread([one[name] for one in times]) for name in times[0]}
    result["errors"] = {kind: spread([one["errors"].get(kind, 0) for one in repetitions]) for kind in kinds}
    rates = {kind: [one["errors"].get(kind, 0) / max(one["logical_requests"], 1) for one in repetitions] for kind in kinds}
    result["error_rate_by_kind"] = {kind: spread(values) for kind, values in rates.items()}
    return result


def one_repetition(program):
    """The inside of a namespace: reads a configuration and a seed, prints figures."""
    order = json.load(sys.stdin)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        Path("/proc/self/autogroup").write_text("-10")
    except OSError:
        pass
    with tempfile.TemporaryDirectory(prefix="headroom-measure-") as folder:
        repetition = Repetition(order["config"], order["seed"], program, folder)
        records, unfinished, seen = repetition.run()
    if order["records"]:
        Path(order["records"]).write_text("".join(json.dumps(record) + "\n" for record in records))
    inside = {"nginx_idle_fds_per_worker": repetition.idle_descriptors, **seen}
    print(json.dumps({**inside, **figures(order["config"], records, unfinished)}))


def measure(case, options):
    """Runs the repetitions of a case and puts what was observed into it."""
    program = str(options.program.resolve())
    command = ["unshare", "--net", "setsid", "--wait", sys.executable, __file__, "--inside", "--program", program]
    repetitions = []
    for seed in range(1, options.repetitions + 1):
        records = str((options.records / f"{case['id']}-{seed}.jsonl").resolve()) if options.records else None
        order = json.dumps({"config": case["config"], "seed": seed, "records": records})
        done = subprocess.run(command, input=order, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"{case['id']}: {done.stderr}")
        repetitions.append(json.loads(done.stdout))
    if options.baseline:
        case["baseline"] = json.loads(options.baseline.read_text())
    if idle := repetitions[0]["nginx_idle_fds_per_worker"]:
        if case["config"]["nginx"].get("reuseport"):
            # The constant is without the listening sockets of the other workers.
            idle = [count - len(idle) + 1 for count in idle]
        case.setdefault("baseline", {})["nginx_idle_fds_per_worker"] = {f"worker_processes={len(idle)}": idle}
    case["observed"] = {"summary": summary(repetitions), "repetitions": repetitions}
    rates = " ".join(f"{one['success_rate_counting_unfinished']:.3f}" for one in repetitions)
    print(f"{case['id']}: success {rates}", flush=True)


# Constants of a machine: where the shipped case is, and what of it is the constant.
P50 = ("latency_ms", "p50", "mean")
CONSTANTS = {
    "http_node_direct_keepalive_ms": ("B-01", P50),
    "http_node_direct_new_connection_ms": ("B-02", P50),
    "http_nginx_keepalive_both_sides_ms": ("B-03", P50),
    "http_nginx_no_upstream_keepalive_ms": ("B-04", P50),
    "http_nginx_no_keepalive_ms": ("B-05", P50),
    "http_gunicorn_direct_ms": ("B-06", P50),
    "http_haproxy_keepalive_ms": ("B-07", P50),
    "pg_connect_trust_ms_mean": ("B-08", ("pod_stats", "db_connect_ms_mean", "mean")),
    "pg_request_connect_per_request_trust_ms_p50": ("B-08", P50),
    "pg_connect_scram_ms_mean": ("B-09", ("pod_stats", "db_connect_ms_mean", "mean")),
    "pg_request_connect_per_request_scram_ms_p50": ("B-09", P50),
    "pg_request_pooled_ms_p50": ("B-10", P50),
    "pgbouncer_connect_ms_mean": ("B-11", ("pod_stats", "db_connect_ms_mean", "mean")),
    "pg_request_via_pgbouncer_ms_p50": ("B-11", P50),
    "pg_max_connects_per_s_trust_16_clients": ("B-12", ("throughput_ok_rps", "mean")),
    "pg_max_connects_per_s_scram_16_clients": ("B-13", ("throughput_ok_rps", "mean")),
    "lambda_instance_spawn_plus_connect_ms_p50": ("B-14", P50),
    "node_max_rps_zero_service": ("B-15", ("throughput_ok_rps", "mean")),
    "nginx_node_max_rps_zero_service": ("B-16", ("throughput_ok_rps", "mean")),
    "node_timer_lateness_ms_mean": ("B-17", ("pod_stats", "late_ms_mean", "mean")),
    "pg_refused_connect_error_latency_ms_p50": ("B-19", ("error_latency_ms", "http_500", "p50", "mean")),
}


def constants(options):
    """Measures the constants of this machine."""
    cases = {}
    for name, _ in CONSTANTS.values():
        if name not in cases:
            cases[name] = json.loads((HERE / f"../tests/data/measured/{name}.json").read_text())
            measure(cases[name], options)
    result = {}
    for constant, (name, path) in CONSTANTS.items():
        value = cases[name]["observed"]["summary"]
        for step in path:
            value = value[step]
        result[constant] = value
    options.constants.write_text(json.dumps(result, indent=1) + "\n")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, help="folder for the measured cases")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--baseline", type=Path, help="constants of this machine, to put into the cases")
    parser.add_argument("--constants", type=Path, help="measure these constants and write them here")
    parser.add_argument("--records", type=Path, help="folder for every request of every repetition, a JSON object a line")
    parser.add_argument("--program", type=Path, default=HERE / "target/release/headroom-measure", help="the load generator")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        one_repetition(options.program)
    elif options.constants:
        constants(options)
    elif not options.cases or not options.out:
        parser.error("name cases and --out, or --constants")
    else:
        for folder in filter(None, (options.out, options.records)):
            folder.mkdir(parents=True, exist_ok=True)
        for path in options.cases:
            case = json.loads(path.read_text())
            measure(case, options)
            options.out.joinpath(path.name).write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    main()
