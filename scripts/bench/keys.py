"""What do keys and limits cost? The same request to one memgate that knows a key with every limit, and to one that asks for no key."""

import hashlib
from collections.abc import Callable

from rig import Rig, free_port

from . import difference
from .difference import Cost, Side
from .proxies import RELEASE, Proxy, start_upstream

COST = ("keys and limits", 1.03)
# The load generator's.
KEY = "sk-bench"
LIMITS = "{requests_per_minute: 4000000000, tokens_per_minute: 4000000000000, concurrent_requests: 100000, usd_per_day: 900000000}"


def measure(contest: Callable) -> tuple[Cost, int]:
    """`contest` samples several (proxy, workload) in turns, and tells how many rounds it dropped."""
    with Rig("bench-keys") as rig:
        secure, secure_port = start_upstream(rig, "ca.pem")
        plain, plain_port = start_upstream(rig)
        without, limited = (memgate(rig, name, secure_port, plain_port) for name in ("without", "limited"))
        upstreams = {"direct": secure, "LiteLLM": plain}
        return difference.measure(contest, rig, upstreams, COST, Side(without), Side(limited, key=True))


def memgate(rig: Rig, name: str, secure: int, plain: int) -> Proxy:
    """Without: anybody may come in, and nobody brings a key. Limited: the key stands in a keys file, and LiteLLM sees one of ours."""
    port = free_port()
    rig.write("litellm.yaml", f"model_list:\n{difference.models(secure)}user_id_mappings: {{default_user_id: bench}}\n")
    own = f"""\
listen: ["127.0.0.1:{port}"]
admin: 127.0.0.1:{free_port()}
direct: {{domains: [localhost], bypass: none, ca_file: ca.pem}}
"""
    litellm = f'config: litellm.yaml, urls: ["http://127.0.0.1:{plain}"]'
    if name == "limited":
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        rig.write("keys.yaml", f"keys: [{{name: bench, sha256: {digest!r}, user: bench, limits: {LIMITS}}}]\n")
        own += "auth: {keys_file: keys.yaml, litellm: false}\n"
        own += 'prices: {version: "2026-11-01", models: {"claude-*": {input: 3, output: 15}, "*": {input: 1, output: 5}}}\n'
        litellm += ", api_key: sk-bench-ours"
    else:
        own += "auth: {litellm: false, allow_anonymous: true}\n"
    config = rig.write(f"{name}.yaml", f"{own}litellm: {{{litellm}}}\n")
    process = rig.start(f"memgate-{name}", [RELEASE / "memgate", "run", "--config", config], {"RUST_LOG": "warn", "LITELLM_MASTER_KEY": ""})
    process.until_port(port)
    return Proxy(name, process, port)


def markdown(cost: Cost) -> list[str]:
    return [
        "## Keys and limits",
        "",
        "| `POST /v1/messages` | without | keys file, all limits | difference | at most |",
        "|---|---|---|---|---|",
        *cost.rows(),
        "",
        "The same requests in turns, with rounds as above; the difference is the median of the rounds' own. Without: `auth.allow_anonymous`, no key in the request, and so no account that is asked or charged; "
        "what a model took is read for `tokens_total` on both sides. With: the key stands in `auth.keys_file` and has `requests_per_minute`, `tokens_per_minute`, `concurrent_requests` and `usd_per_day` "
        "that are never reached; the answer says what is left, and towards LiteLLM another key takes its place.",
    ]

