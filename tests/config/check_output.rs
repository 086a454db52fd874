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
        "config.yaml:2:5: note: requests for `m` do not pass LiteLLM and skip its rate limits (rpm), \
         body default on /v1/messages (thinking), body default on /v1/messages (max_tokens), routing (timeout), \
         fallbacks (router_settings.fallbacks), cache (litellm_settings.cache), \
         callbacks (litellm_settings.callbacks), spend log and budgets of keys (general_settings.database_url), \
         guardrails (guardrails)\nok: 2 models, 1 of them direct, 0 aliases, 0 warnings\n"
    );
}

#[test]
fn a_default_that_no_request_could_carry_is_a_fault() {
    let files = Files::litellm(
        "model_list:\n  - model_name: m\n    litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/OPENAI_API_KEY, temperature: hot}\n\
         user_id_mappings: {default_user_id: team}\n",
    );

    let (told, usable) = report(&files);

    assert!(!usable);
    assert_eq!(
        told,
        "config.yaml:2:5: a default of `m`: `temperature` is not what a chat completion takes there, correct or remove it\n\
         not usable: 1 fault\n"
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
