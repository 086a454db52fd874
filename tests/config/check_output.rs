//! What `memgate check` tells of a configuration.

use std::fs;

use memgate::cli::check;
use memgate::config::Env;

use super::{Files, load};

fn report(files: &Files) -> (String, bool) {
    let mut out = Vec::new();
    let usable = check::report(&files.sources(), &mut out).unwrap().is_some();
    (files.relative(&String::from_utf8(out).unwrap()), usable)
}

#[test]
fn faults_come_first_then_warnings_then_the_verdict() {
    let files = Files::new(&[(
        "memgate.yaml",
        "limts: {}\nlitellm: {api_key: sk-plain-0123456789ab}\n",
    )]);
    let (told, usable) = report(&files);
    assert!(!usable);
    assert_eq!(
        told.lines()
            .filter(|line| !line.contains("chmod"))
            .collect::<Vec<_>>(),
        [
            "memgate.yaml:1:1: unknown key `limts`, did you mean `limits`?",
            "memgate.yaml:2:20: warning: `api_key` stands here in plain text, use `os.environ/NAME`",
            "not usable: 1 fault",
        ]
    );
}

#[test]
fn a_direct_model_tells_what_its_requests_skip_and_only_what_is_set() {
    let files = Files::litellm(
        "model_list:\n  - model_name: m\n    litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/OPENAI_API_KEY, rpm: 5, thinking: {type: enabled}, max_tokens: 100, timeout: 5, temperature: null}\n  - model_name: other\n    litellm_params: {model: openai/x, rpm: 1}\n\
         litellm_settings: {cache: true, callbacks: [prometheus], success_callback: [], fallbacks: [{other: [m]}]}\n\
         router_settings: {fallbacks: [{m: [other]}]}\n\
         general_settings: {database_url: os.environ/NUMBER}\n\
         guardrails: [{guardrail_name: g}]\n\
         user_id_mappings: {default_user_id: team}\n",
    );
    let (told, usable) = report(&files);
    assert!(usable);
    assert_eq!(
        told,
        "config.yaml:6:101: warning: LiteLLM falls back to `m` by calling its `api_base` itself, beside this gateway's limit and with Cloudflare's pages passed on; \
         name a model here that leads through `egress`\n\
         config.yaml:2:5: note: requests for `m` do not pass LiteLLM and skip its rate limits (rpm), \
         body default on /v1/messages (thinking), body default on /v1/messages (max_tokens), routing (timeout), \
         fallbacks (router_settings.fallbacks), cache (litellm_settings.cache), \
         callbacks (litellm_settings.callbacks), spend log and budgets of keys (general_settings.database_url), \
         guardrails (guardrails)\nok: 2 models, 1 of them direct, 0 aliases, 1 warning\n"
    );
}

#[test]
fn a_default_budget_of_a_model_that_sets_its_own_is_warned_of() {
    let told = |model: &str| {
        let files = Files::litellm(&format!(
            "model_list:\n  - model_name: m\n    litellm_params: {{model: anthropic/{model}, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/OPENAI_API_KEY, thinking: {{type: enabled, budget_tokens: 2000}}}}\n\
             user_id_mappings: {{default_user_id: team}}\n"
        ));
        let (told, usable) = report(&files);
        assert!(usable, "{told}");
        let warned = told.lines().filter(|line| line.contains("warning: "));
        warned.map(str::to_owned).collect::<Vec<_>>()
    };

    let warned = told("claude-opus-4-8");

    let place = warned
        .first()
        .map(|line| line.starts_with("config.yaml:3:"));
    assert_eq!((warned.len(), place), (1, Some(true)), "{warned:?}");
    assert!(
        warned[0].contains("`claude-opus-4-8` sets its budget for thinking itself"),
        "{warned:?}"
    );
    assert_eq!(told("claude-sonnet-4-5"), Vec::<String>::new());
}

/// Each direct model's note, after `skip its`.
fn skipped_with(settings: &str) -> String {
    let files = Files::litellm(&format!(
        "model_list:\n  - model_name: m\n    litellm_params: {{model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/OPENAI_API_KEY}}\n\
         user_id_mappings: {{default_user_id: team}}\n{settings}"
    ));
    let (told, usable) = report(&files);
    assert!(usable, "{told}");
    let note = told.lines().find_map(|line| line.split_once("skip its "));
    note.map(|(_, skipped)| skipped.to_owned())
        .unwrap_or_default()
}

#[test]
fn every_setting_for_all_models_is_told_unless_it_is_honoured_or_of_no_consequence() {
    let cases = [
        (
            "general_settings",
            "allowed_ips: [10.0.0.1]",
            "access control",
        ),
        ("general_settings", "allowed_ips: []", "access control"),
        (
            "general_settings",
            "enable_jwt_auth: true",
            "access control",
        ),
        (
            "general_settings",
            "enforced_params: [user]",
            "access control",
        ),
        (
            "general_settings",
            "allowed_routes: [/v1/models]",
            "access control",
        ),
        (
            "general_settings",
            "max_parallel_requests: 5",
            "request limits",
        ),
        (
            "general_settings",
            "max_request_size_mb: 1",
            "request limits",
        ),
        ("general_settings", "alerting: [slack]", "alerts"),
        ("litellm_settings", "service_callback: [x]", "callbacks"),
        ("litellm_settings", "num_retries: 3", "retries"),
        ("litellm_settings", "request_timeout: 5", "time-outs"),
        (
            "litellm_settings",
            "drop_params: true",
            "corrections of the body",
        ),
        ("router_settings", "routing_strategy: least-busy", "routing"),
        ("router_settings", "timeout: 5", "time-outs"),
        ("general_settings", "made_up_tomorrow: 1", "setting"),
        ("litellm_settings", "made_up_tomorrow: 1", "setting"),
        ("router_settings", "made_up_tomorrow: 1", "routing"),
    ];
    for (section, setting, what) in cases {
        let (key, _) = setting.split_once(':').unwrap();

        let skipped = skipped_with(&format!("{section}: {{{setting}}}\n"));

        assert_eq!(skipped, format!("{what} ({section}.{key})"));
    }
    for nothing in [
        "general_settings: {master_key: sk-0123456789abcdefghij, health_check_interval: 9, alerting: []}\n",
        "litellm_settings: {set_verbose: true, num_retries: null, cache: false, fallbacks: [{other: [x]}]}\n",
        "router_settings: {model_group_alias: {a: m}}\n",
    ] {
        assert_eq!(skipped_with(nothing), "", "{nothing}");
    }
}

#[test]
fn what_litellm_forbids_and_the_direct_route_does_not_is_warned_of_where_a_model_is_direct() {
    let settings = "general_settings: {allowed_ips: [10.0.0.1], alerting: [slack]}\nuser_id_mappings: {default_user_id: team}\n";
    let warning = "config.yaml:1:20: access control (general_settings.allowed_ips) does not hold for direct models, whose requests do not pass LiteLLM";
    let with = |model: &str| {
        Files::litellm(&format!(
            "{settings}model_list: [{{model_name: m, litellm_params: {{{model}}}}}]\n"
        ))
        .warnings()
    };

    let direct = with(
        "model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/NUMBER",
    );
    let litellms = with("model: openai/x");

    assert_eq!(direct, [warning]);
    assert_eq!(litellms, Vec::<String>::new());
}

#[test]
fn a_default_that_no_request_could_carry_is_a_fault() {
    let files = Files::litellm(
        "model_list:\n  - model_name: m\n    litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/OPENAI_API_KEY, temperature: hot, parallel_tool_calls: maybe}\n\
         user_id_mappings: {default_user_id: team}\n",
    );

    let (told, usable) = report(&files);

    assert!(!usable);
    assert_eq!(
        told,
        "config.yaml:3:148: `temperature` is not what a chat completion takes there, correct or remove it\n\
         config.yaml:3:174: `parallel_tool_calls` is not what a chat completion takes there, correct or remove it\n\
         not usable: 2 faults\n"
    );
}

#[test]
fn a_fallback_of_litellms_to_a_direct_model_is_warned_of_because_litellm_calls_it_itself() {
    let with = |settings: &str| {
        let warnings = Files::litellm(&format!(
            "{settings}\nuser_id_mappings: {{default_user_id: team}}\nmodel_list:\n  - {{model_name: m, litellm_params: {{model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/NUMBER}}}}\n  - {{model_name: other, litellm_params: {{model: openai/x}}}}\n"
        ))
        .warnings()
        .into_iter();
        let places = warnings.filter(|one| one.contains("LiteLLM falls back to `m`"));
        places
            .map(|one| one.split(": ").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(
        with("litellm_settings: {fallbacks: [{other: [third, m]}]}"),
        ["config.yaml:1:48"]
    );
    assert_eq!(
        with("router_settings: {default_fallbacks: [m]}"),
        ["config.yaml:1:39"]
    );
    let gone = Vec::<String>::new();
    assert_eq!(
        with("router_settings: {fallbacks: [{other: [third]}]}"),
        gone
    );
    assert_eq!(
        with("router_settings: {fallbacks: [{m: [m]}]}"),
        gone,
        "its requests never get there"
    );
}

#[test]
fn what_is_unwise_is_warned_of_at_its_place() {
    let cases = [
        (
            "general_settings: {master_key: sk-1234}\n",
            "config.yaml:1:32: `master_key` is easy to guess, make one with `openssl rand -hex 24`",
        ),
        (
            "general_settings: {database_url: \"postgres://u:p@h/d\"}\n",
            "config.yaml:1:34: `database_url` stands here in plain text, use `os.environ/NAME`",
        ),
        (
            "litellm_settings: {cache_params: {password: os.environ/NOT_SET}}\n",
            "config.yaml:1:45: the variable NOT_SET is not set, LiteLLM takes that for an empty value",
        ),
        (
            "model_list: []\nmodel_list: []\n",
            "config.yaml:2:1: `model_list` is set twice in one mapping, keep one of them; LiteLLM takes the last",
        ),
        (
            "general_settings: {}\n",
            "config.yaml:1:1: no `model_list`, so no model is direct and LiteLLM judges every name",
        ),
        (
            "model_list: [{model_name: m, litellm_params: {model: openai/x}}]\nrouter_settings: {model_group_alias: {a: b}}\n",
            "config.yaml:2:39: the alias `a` leads to `b`, which no `model_name` is; LiteLLM will judge it",
        ),
        (
            "model_list: [{model_name: m, litellm_params: {model: openai/x}}]\nrouter_settings: {model_group_alias: {m: m}}\n",
            "config.yaml:2:39: the alias hides the model `m` of the same name, rename one of them",
        ),
        (
            "model_list:\n  - {model_name: \"a*\", litellm_params: {model: openai/x}}\n  - {model_name: \"a**\", litellm_params: {model: openai/x}}\n",
            "config.yaml:2:18: `a*` is never reached, the longer `a**` takes all of its names; remove one of them",
        ),
        (
            "user_id_mappings:\n  header_patterns:\n    - {header: a, pattern: x, user_id: u}\n    - {header: A, pattern: x, user_id: v}\n",
            "config.yaml:4:7: this pattern is never reached, one before it matches the same; move it up or remove it",
        ),
        (
            "user_id_mappings:\n  header_patterns:\n    - {header: a, pattern: '.*', user_id: u}\n    - {header: a, pattern: x, user_id: v}\n",
            "config.yaml:4:7: this pattern is never reached, one before it matches the same; move it up or remove it",
        ),
        (
            "model_list: [{model_name: m, litellm_params: {model: openai/x}, model_info: {id: i}}, {model_name: n, litellm_params: {model: openai/x}, model_info: {id: i}}]\n",
            "config.yaml:1:87: the id `i` is there already, only one model can be called by it",
        ),
        (
            "model_list: [{model_name: m, litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/NUMBER}}]\n",
            "config.yaml:1:27: `m` needs a memory user and none can be found, set `user_id_mappings.default_user_id`",
        ),
    ];
    for (text, expected) in cases {
        let warnings = Files::litellm(text).warnings();
        assert!(
            warnings.iter().any(|warning| warning == expected),
            "{expected}\nis not in\n{}",
            warnings.join("\n")
        );
    }
}

#[test]
fn a_weak_key_is_warned_of_also_where_only_the_environment_has_it() {
    let files = Files::new(&[
        (
            "memgate.yaml",
            "admin_key: os.environ/WEAK\nlitellm: {config: config.yaml}\n",
        ),
        ("config.yaml", "model_list: []\n"),
    ]);
    let mut sources = files.sources();
    sources.env = Env::from_pairs([("LITELLM_MASTER_KEY", "sk-1234"), ("WEAK", "secret")]);

    let warnings = load(&sources).warnings;

    let told: Vec<String> = warnings
        .iter()
        .map(|warning| files.relative(&warning.to_string()))
        .collect();
    for expected in [
        "LITELLM_MASTER_KEY:1:1: `master_key` is easy to guess, make one with `openssl rand -hex 24`",
        "memgate.yaml:1:12: `admin_key` is easy to guess, make one with `openssl rand -hex 24`",
    ] {
        assert!(
            told.iter().any(|line| line == expected),
            "{expected}\n{told:#?}"
        );
    }
}

#[test]
fn wildcards_that_can_be_reached_are_not_warned_of() {
    let files = Files::litellm(
        "model_list:\n  - {model_name: \"claude-*\", litellm_params: {model: openai/x}}\n  - {model_name: \"claude-opus-*\", litellm_params: {model: openai/x}}\n  - {model_name: \"*\", litellm_params: {model: openai/x}}\n  - {model_name: \"*-latest\", litellm_params: {model: openai/x}}\n",
    );
    assert_eq!(files.warnings(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_file_with_keys_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let files =
        Files::litellm("model_list: []\ngeneral_settings: {master_key: sk-plain-0123456789ab}\n");
    let path = files.path("config.yaml");
    let readable =
        |warnings: Vec<String>| warnings.iter().any(|warning| warning.contains("chmod 600"));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(readable(files.warnings()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!readable(files.warnings()));
}

#[test]
fn with_no_way_to_prove_who_one_is_the_direct_models_are_off() {
    let files = Files::new(&[
        (
            "memgate.yaml",
            "litellm: {config: config.yaml}\nauth: {litellm: false}\n",
        ),
        (
            "config.yaml",
            "general_settings: {master_key: null}\nmodel_list: [{model_name: m, litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/x.example\", api_key: os.environ/NUMBER}}]\n",
        ),
    ]);
    assert!(
        files
            .warnings()
            .iter()
            .any(|warning| warning.contains("the direct models are off"))
    );
}

#[test]
fn a_model_without_a_price_is_warned_of_where_a_key_has_a_days_dollars() {
    let models = "model_list:\n  - {model_name: ours, litellm_params: {model: anthropic/claude-opus-4-5, api_base: \"https://api.supermemory.ai/v3/https://api.anthropic.com\", api_key: os.environ/ANTHROPIC_API_KEY}}\n  - {model_name: gpt, litellm_params: {model: openai/x}}\nuser_id_mappings: {default_user_id: team}\n";
    let own = "litellm: {config: config.yaml}\nauth: {keys_file: keys.yaml}\nprices: {version: \"2026-11-01\", models: {\"claude-opus-4*\": {input: 15, output: 75}}}\n";
    let keys = |limits: &str| {
        let digest = "5e".repeat(32);
        format!("keys: [{{name: anna, sha256: \"{digest}\", limits: {limits}}}]\n")
    };
    let unpriced = |keys: &str| {
        let files = [
            ("memgate.yaml", own),
            ("config.yaml", models),
            ("keys.yaml", keys),
        ];
        let mut warnings = Files::new(&files).warnings();
        warnings.retain(|warning| warning.contains("price"));
        warnings
    };

    assert_eq!(
        unpriced(&keys("{usd_per_day: 5}")),
        [
            "config.yaml:3:18: `gpt` has no price, so it counts as the dearest of the table, and no less than $15 and $75 for a million tokens of input and output, towards `usd_per_day` of the key `anna`; name it in `prices.models`"
        ]
    );
    let none: [String; 0] = [];
    assert_eq!(unpriced(&keys("{requests_per_minute: 5}")), none);
}

#[test]
fn the_master_key_is_no_key_of_the_keys_file() {
    let digest = |key: &str| memgate::auth::Fingerprint::of(key).to_string();
    let keys = |key| format!("keys: [{{name: anna, sha256: \"{}\"}}]\n", digest(key));
    let faults = |keys: &str| {
        let files = [
            (
                "memgate.yaml",
                "litellm: {config: config.yaml}\nauth: {keys_file: keys.yaml}\n",
            ),
            (
                "config.yaml",
                "general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}\n",
            ),
            ("keys.yaml", keys),
        ];
        Files::new(&files).faults()
    };

    let said = faults(&keys("sk-fedcba9876543210"));
    assert!(said.contains("`anna` is the master key"), "{said}");
    assert!(said.starts_with("keys.yaml"), "{said}");
}
