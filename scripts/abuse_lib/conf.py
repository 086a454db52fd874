"""How are the gateways under abuse set up? As shipped, but for the deadlines and sizes that a short run needs smaller."""

KEY = "sk-abuse-6f1d7a3b9c5e2084"
MIB = 1 << 20

# LiteLLM's own model, and two direct ones: one edge speaks HTTP/2, the other only HTTP/1.1, so that every kind of upstream pool is in play.
MODELS = ["claude-litellm", "claude-h2", "claude-h1"]

LITELLM_YAML = f"""\
model_list:
  - model_name: claude-h2
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://api.supermemory.ai/v3/api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-h1
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_base: https://h1.supermemory.ai/v3/api.anthropic.com
      api_key: sk-ant-provider
      extra_headers: {{x-supermemory-api-key: sm-key}}
  - model_name: claude-litellm
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_key: sk-ant-provider}}
general_settings: {{master_key: {KEY}}}
user_id_mappings: {{custom_header: x-memory-user, default_user_id: the-team}}
"""

MEMGATE_YAML = """\
listen:
  - 127.0.0.1:{plain}
  - {{address: 127.0.0.1:{tls}, tls: {{cert: server.pem, key: server.key}}}}
  - {{address: 127.0.0.1:{h2c}, h2c: true}}
admin: 127.0.0.1:{admin}
egress: {{listen: 127.0.0.1:{egress}}}
litellm: {{config: litellm.yaml, urls: ["http://127.0.0.1:{litellm}"]}}
direct:
  bypass: none
  resolve: {{"api.supermemory.ai:443": "127.0.0.1:{edge_h2}", "h1.supermemory.ai:443": "127.0.0.1:{edge_h1}"}}
  ca_file: ca.pem
{more}
"""

# What each kind of gateway has that the others have not; the first serves all rows that name none.
KINDS = {
    "short": "limits: {header_timeout: 3s, body_timeout: 3s, body: 8MiB, bodies_in_flight: 64MiB}",
    "shipped": "",
    "odd": "limits: {header_timeout: 3s, body_timeout: 3s, first_byte_timeout: 10s, idle_timeout: 3s}",
    "guarded": "limits: {connections: 400, connections_per_address: 100}",
    "trusting": 'trusted_proxies: ["127.0.0.1/32"]',
    "cramped": "",
}

# Open files that the gateway of this kind may have.
FILES = {"cramped": 256}
