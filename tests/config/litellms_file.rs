//! LiteLLM's file, read as LiteLLM reads it.

use memgate::config::{Env, ProviderDialect, Secret, Sources};

use super::{Files, VARIABLES, conf, load, model, one_model};

#[test]
fn a_litellm_file_alone_is_enough() {
    let mut sources = Sources::new(Env::from_pairs(VARIABLES));
    sources.litellm_config = Some(conf("litellm.example.yaml"));

    let loaded = load(&sources);

    let config = &loaded.config;
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:8764");
    let target = model(config, "claude-sonnet-4.5").direct.as_ref().unwrap();
    assert_eq!(
        target.api_key.as_ref().map(Secret::reveal),
        Some("sk-ant-0123456789abcdef")
    );
    assert!(target.extra_headers[0].1.is_sensitive());
    assert_eq!(
        config.auth.master_key.as_ref().map(Secret::reveal),
        Some("sk-fedcba9876543210")
    );
    assert_eq!(
        config
            .models
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect::<Vec<_>>(),
        [
            "claude-sonnet-4.5",
            "claude-haiku-4-5",
            "claude-*",
            "gpt-4o"
        ]
    );
    assert_eq!(config.identity.header_patterns.len(), 2);
    assert_eq!(loaded.warnings, [], "the example is one to follow");
}

#[test]
fn an_api_base_becomes_the_base_the_provider_and_the_dialect() {
    use ProviderDialect::{Anthropic, OpenAi};
    let cases = [
        (
            "https://api.supermemory.ai/v3/https://api.anthropic.com",
            "",
            "/v3/https://api.anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://api.supermemory.ai/v3/https://api.anthropic.com/v1",
            "",
            "/v3/https://api.anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://api.supermemory.ai/v3/https://api.anthropic.com/v1/",
            "",
            "/v3/https://api.anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://api.supermemory.ai/v3/https://api.anthropic.com/v1/messages",
            "",
            "/v3/https://api.anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://api.supermemory.ai/v3/api.anthropic.com/v1/messages/",
            "",
            "/v3/api.anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://API.Supermemory.AI:8443/v3/API.Anthropic.com",
            "",
            "/v3/API.Anthropic.com",
            "api.anthropic.com",
            true,
            Anthropic,
        ),
        (
            "https://supermemory.ai",
            "",
            "",
            "supermemory.ai",
            false,
            Anthropic,
        ),
        (
            "https://supermemory.ai/v1",
            "",
            "",
            "supermemory.ai",
            false,
            Anthropic,
        ),
        (
            "https://api.supermemory.ai/v3/https://api.groq.com/openai/v1",
            "custom_llm_provider: groq",
            "/v3/https://api.groq.com/openai/v1",
            "api.groq.com",
            true,
            OpenAi,
        ),
        (
            "https://api.supermemory.ai/v3/https://api.openai.com/v1/chat/completions",
            "custom_llm_provider: openai",
            "/v3/https://api.openai.com/v1",
            "api.openai.com",
            true,
            OpenAi,
        ),
        (
            "https://api.supermemory.ai/v3/https://generativelanguage.googleapis.com/v1beta/openai/",
            "custom_llm_provider: gemini",
            "/v3/https://generativelanguage.googleapis.com/v1beta/openai",
            "generativelanguage.googleapis.com",
            true,
            OpenAi,
        ),
        (
            "https://api.supermemory.ai/v3/https://gw.example:8443/a//b",
            "",
            "/v3/https://gw.example:8443/a//b",
            "gw.example",
            true,
            Anthropic,
        ),
    ];
    for (api_base, more, path, provider, router, dialect) in cases {
        let config = one_model(
            api_base,
            &format!("api_key: os.environ/OPENAI_API_KEY\n      {more}"),
        )
        .load()
        .config;
        let target = model(&config, "m")
            .direct
            .clone()
            .unwrap_or_else(|| panic!("{api_base} is direct"));
        assert_eq!(target.base.path, path, "{api_base}");
        assert_eq!(
            (target.provider_host.as_str(), target.router),
            (provider, router),
            "{api_base}"
        );
        assert_eq!(target.dialect, dialect, "{api_base}");
        assert!(target.base.origin.tls && target.base.origin.host.ends_with("supermemory.ai"));
    }
}

#[test]
fn a_provider_with_a_dialect_of_its_own_is_left_to_litellm() {
    for provider in ["gemini", "azure", "bedrock"] {
        let files = one_model(
            "https://api.supermemory.ai/v3/https://provider.example/v1beta",
            &format!("api_key: os.environ/OPENAI_API_KEY\n      custom_llm_provider: {provider}"),
        );

        assert!(
            model(&files.load().config, "m").direct.is_none(),
            "{provider}"
        );
        assert_eq!(
            files.warnings(),
            [
                "config.yaml:5:17: this provider speaks neither Anthropic's dialect nor OpenAI's, so LiteLLM serves the model, without the gateway's cookies and limits"
            ],
            "{provider}"
        );
    }
}

#[test]
fn what_stands_in_a_translated_body_by_default_is_read_with_its_variables() {
    let defaults = |more: &str| {
        let config = one_model(
            "https://api.supermemory.ai/v3/api.anthropic.com",
            &format!("api_key: os.environ/OPENAI_API_KEY\n      {more}"),
        )
        .load()
        .config;
        let target = model(&config, "m").direct.clone().unwrap();
        serde_json::Value::Object(target.defaults)
    };

    let written = defaults(
        "thinking: {type: enabled, budget_tokens: 2048}\n      temperature: 0.5\n      stop: [os.environ/NUMBER]\n      \
         user: null\n      drop_params: true\n      extra_body: {top_k: 3, temperature: 0.25, unheard_of: 1}",
    );

    assert_eq!(
        written,
        serde_json::json!({
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "temperature": 0.25, "stop": ["7"], "top_k": 3,
        })
    );
    let of_openai = defaults("custom_llm_provider: openai\n      temperature: 1");
    assert_eq!(
        of_openai,
        serde_json::json!({}),
        "its bodies pass as they came"
    );
}

#[test]
fn a_bypass_is_the_api_base_without_the_router_and_without_its_headers() {
    let headers = "extra_headers: {x-supermemory-api-key: os.environ/SUPERMEMORY_API_KEY, X-SM-Conversation-Id: c, x-team: t, anthropic-beta: b}";
    let cases = [
        ("api.anthropic.com", "https://api.anthropic.com"),
        ("https://api.anthropic.com/v1", "https://api.anthropic.com"),
        (
            "https://API.groq.com/openai/v1/",
            "https://api.groq.com/openai",
        ),
        (
            "https://gw.example:8443/a//b",
            "https://gw.example:8443/a//b",
        ),
    ];
    for (behind, past) in cases {
        let files = one_model(
            &format!("https://api.supermemory.ai/v3/{behind}"),
            &format!("api_key: os.environ/OPENAI_API_KEY\n      {headers}"),
        );
        let config = files.load().config;
        let target = model(&config, "m").direct.as_ref().unwrap();
        let bypass = target.bypass.as_ref().unwrap();

        assert_eq!(bypass.base.to_string(), past);
        assert_eq!(bypass.base.origin.host, target.provider_host);
        assert_eq!(
            bypass.api_key.as_ref().map(Secret::reveal),
            target.api_key.as_ref().map(Secret::reveal)
        );
        let names = bypass.extra_headers.iter().map(|(name, _)| name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["x-team", "anthropic-beta"]);
        assert_eq!(target.extra_headers.len(), 4);
    }
}

#[test]
fn a_key_among_the_headers_of_a_model_behind_the_router_is_warned_of_and_leaves_for_no_provider_that_has_one()
 {
    let headers = "extra_headers: {Authorization: os.environ/SUPERMEMORY_API_KEY, x-api-key: os.environ/NUMBER, x-supermemory-api-key: os.environ/NUMBER, x-team: t}";
    let with = |base: &str, key: &str| {
        let files = one_model(base, &format!("{key}\n      {headers}"));
        let config = files.load().config;
        let target = model(&config, "m").direct.clone().unwrap();
        let bypass = target.bypass.map(|bypass| bypass.extra_headers);
        let names = bypass.unwrap_or_default().into_iter();
        let names: Vec<String> = names.map(|(name, _)| name.to_string()).collect();
        let warnings = files.warnings().into_iter();
        let keys = warnings.filter(|warning| warning.contains("extra_headers."));
        (names, keys.collect::<Vec<_>>(), target.extra_headers.len())
    };
    let router = "https://api.supermemory.ai/v3/https://llm.example.com";

    let (names, warnings, to_the_router) = with(router, "api_key: os.environ/OPENAI_API_KEY");
    assert_eq!(names, ["x-team"]);
    assert_eq!(to_the_router, 4);
    let advice = "; set the provider's key as `api_key`, the router's as `x-supermemory-api-key`";
    assert_eq!(
        warnings,
        [
            format!(
                "config.yaml:7:23: `extra_headers.authorization` goes to the router beside `api_key` or instead of it, and past the router it is left out{advice}"
            ),
            format!(
                "config.yaml:7:70: `extra_headers.x-api-key` goes to the router beside `api_key` or instead of it, and past the router it is left out{advice}"
            ),
        ]
    );

    let (names, warnings, _) = with(
        router,
        "api_key: null\n      custom_llm_provider: openai_like",
    );
    assert_eq!(
        names,
        ["authorization", "x-api-key", "x-team"],
        "it is all that the provider could take"
    );
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings
            .iter()
            .all(|one| one.contains("goes to the router, and past it to the provider itself"))
    );

    let (_, warnings, _) = with("https://api.supermemory.ai", "api_key: os.environ/NUMBER");
    assert_eq!(warnings, Vec::<String>::new(), "nobody's but that server's");
}

#[test]
fn without_a_router_there_is_nothing_to_go_past() {
    let files = one_model(
        "https://api.supermemory.ai",
        "api_key: os.environ/OPENAI_API_KEY",
    );
    let loaded = files.load();

    let target = model(&loaded.config, "m").direct.as_ref().unwrap();
    assert!(target.bypass.is_none());
    assert_eq!(
        files.warnings(),
        [
            "config.yaml:2:17: `m` is not behind `/v3/`, so there is no router to go past and its requests wait; `direct.bypass: litellm` would give them another way"
        ]
    );
}

#[test]
fn a_bypass_over_litellm_is_said_to_lead_to_the_same_host() {
    let bypassing = |bypass: &str| {
        let own = format!("litellm: {{config: config.yaml}}\ndirect: {{bypass: {bypass}}}\n");
        let models = "model_list: [{model_name: m, litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/NUMBER}}]\nuser_id_mappings: {default_user_id: team}\n";
        Files::new(&[("memgate.yaml", &own), ("config.yaml", models)]).warnings()
    };

    assert_eq!(bypassing("provider"), Vec::<String>::new());
    assert_eq!(bypassing("none"), Vec::<String>::new());
    assert_eq!(
        bypassing("litellm"),
        [
            "config.yaml:1:27: `m` is called by LiteLLM at the same `api_base`, beside this gateway's limit; `direct.bypass: provider` goes past that host, or lead LiteLLM through `egress`"
        ]
    );
}

#[test]
fn only_hosts_at_or_below_a_direct_domain_are_direct() {
    for api_base in [
        "https://notsupermemory.ai/v3/api.anthropic.com",
        "https://supermemory.ai.evil.example/v3/api.anthropic.com",
        "https://api.anthropic.com/supermemory.ai",
        "http://localhost:4000",
        "no url at all",
    ] {
        let files = one_model(api_base, "api_key: os.environ/OPENAI_API_KEY");
        assert!(
            model(&files.load().config, "m").direct.is_none(),
            "{api_base}"
        );
    }
}

#[test]
fn the_dialect_follows_the_provider_then_the_host_then_the_name() {
    use ProviderDialect::{Anthropic, OpenAi};
    let cases = [
        ("anthropic/x", "", "api.anthropic.com", Anthropic, "x"),
        ("openai/x", "", "api.anthropic.com", OpenAi, "x"),
        (
            "anthropic/x",
            "custom_llm_provider: openai",
            "api.openai.com",
            OpenAi,
            "anthropic/x",
        ),
        ("x", "", "api.anthropic.com", Anthropic, "x"),
        ("claude-x", "", "llm.example", Anthropic, "claude-x"),
        ("gpt-x", "", "api.openai.com", OpenAi, "gpt-x"),
        (
            "meta-llama/llama",
            "",
            "api.groq.com",
            OpenAi,
            "meta-llama/llama",
        ),
    ];
    for (name, more, host, dialect, sent) in cases {
        let config = Files::litellm(&format!(
            "model_list:\n  - model_name: m\n    litellm_params:\n      model: {name}\n      api_key: os.environ/OPENAI_API_KEY\n      api_base: https://api.supermemory.ai/v3/{host}\n      {more}\n"
        )).load().config;
        let deployment = model(&config, "m");
        assert_eq!(
            deployment.direct.as_ref().map(|target| target.dialect),
            Some(dialect),
            "{name} {more}"
        );
        assert_eq!(deployment.model, sent, "{name} {more}");
    }
}

#[test]
fn base_url_beats_api_base_and_a_credential_fills_in() {
    let config = Files::litellm(
        "credential_list:\n  - credential_name: sm\n    credential_values: {api_base: \"https://supermemory.ai/v3/api.anthropic.com\", api_key: os.environ/AZURE_API_KEY}\n\
         model_list:\n  - model_name: a\n    litellm_params: {model: anthropic/x, api_base: \"https://x.example\", base_url: \"https://supermemory.ai/v3/b.example\", api_key: os.environ/OPENAI_API_KEY}\n  - model_name: b\n    litellm_params: {model: anthropic/x, litellm_credential_name: sm}\n",
    ).load().config;
    assert_eq!(
        model(&config, "a").direct.as_ref().unwrap().provider_host,
        "b.example"
    );
    let target = model(&config, "b").direct.clone().unwrap();
    assert_eq!(
        target.api_key.as_ref().map(Secret::reveal),
        Some("0123456789abcdef")
    );
}

#[test]
fn a_model_without_a_key_takes_its_providers_variable_or_is_warned_of() {
    let with = one_model("https://supermemory.ai/v3/api.anthropic.com", "").load();
    let target = model(&with.config, "m").direct.clone().unwrap();
    assert_eq!(
        target.api_key.as_ref().map(Secret::reveal),
        Some("sk-ant-0123456789abcdef")
    );

    let files = one_model("https://supermemory.ai/v3/api.anthropic.com", "");
    let mut sources = files.sources();
    sources.env = Env::from_pairs([]);
    let warning = &load(&sources).warnings[0];
    assert_eq!((warning.place.line, warning.place.column), (5, 17));
    assert!(warning.message.contains("without a key"), "{warning}");
}

#[test]
fn a_repeated_name_is_one_group_with_litellms_shares() {
    let group = |params: [&str; 3]| -> Vec<u32> {
        let list: String = params
            .iter()
            .map(|params| {
                format!("  - model_name: m\n    litellm_params: {{model: openai/x{params}}}\n")
            })
            .collect();
        let config = Files::litellm(&format!("model_list:\n{list}"))
            .load()
            .config;
        assert_eq!(config.models.groups.len(), 1);
        config.models.groups[0]
            .deployments
            .iter()
            .map(|deployment| deployment.weight)
            .collect()
    };
    assert_eq!(group(["", "", ""]), [1, 1, 1]);
    assert_eq!(
        group([", weight: 3", ", weight: 1", ", weight: 0"]),
        [3, 1, 0]
    );
    assert_eq!(
        group([", weight: 2", "", ", rpm: 50"]),
        [2, 0, 0],
        "who has no weight has no share"
    );
    assert_eq!(group([", rpm: 100", ", rpm: 50", ", tpm: 7"]), [100, 50, 0]);
    assert_eq!(
        group([", weight: 0.5", ", weight: 0.25", ""]),
        [1_000_000, 500_000, 0]
    );
    assert_eq!(
        group([", tpm: 9000000", ", tpm: 4500000", ""]),
        [1_000_000, 500_000, 0]
    );
}

#[test]
fn ids_are_strings_as_litellm_makes_them() {
    let config = Files::litellm(
        "model_list: [{model_name: m, litellm_params: {model: openai/x}, model_info: {id: 012}}]",
    )
    .load()
    .config;
    assert_eq!(
        model(&config, "m").id.as_deref(),
        Some("10"),
        "an octal number, then text"
    );
}

#[test]
fn aliases_come_from_the_router_and_from_the_alias_map() {
    let config = Files::litellm(
        "model_list: [{model_name: m, litellm_params: {model: openai/x}}]\n\
         router_settings:\n  model_group_alias: {a: m, b: {model: m, hidden: true}, c: {model: m}}\n\
         litellm_settings:\n  model_alias_map: {d: m, e: a}\n",
    ).load().config;
    let aliases: Vec<(&str, &str, bool)> = config
        .models
        .aliases
        .iter()
        .map(|a| (a.name.as_str(), a.target.as_str(), a.hidden))
        .collect();
    assert_eq!(
        aliases,
        [
            ("a", "m", false),
            ("b", "m", true),
            ("c", "m", false),
            ("d", "m", true),
            ("e", "m", true)
        ]
    );
}

#[test]
fn os_environ_counts_only_at_the_start_of_the_whole_string() {
    let files = one_model(
        "https://supermemory.ai/v3/api.anthropic.com",
        "api_key: x-os.environ/OPENAI_API_KEY",
    );
    let config = files.load().config;
    let key = model(&config, "m").direct.clone().unwrap().api_key.unwrap();
    assert_eq!(key.reveal(), "x-os.environ/OPENAI_API_KEY");
}

#[test]
fn the_master_key_is_the_files_else_the_variables() {
    let key = |text: &str| {
        Files::litellm(text)
            .load()
            .config
            .auth
            .master_key
            .map(|key| key.reveal().to_owned())
    };
    let from_variable = Some("sk-fedcba9876543210".to_owned());
    assert_eq!(key("model_list: []"), from_variable);
    assert_eq!(key("general_settings: {}"), from_variable);
    assert_eq!(
        key("general_settings: {master_key: sk-1234567890123456}"),
        Some("sk-1234567890123456".to_owned())
    );
    assert_eq!(
        key("general_settings: {master_key: os.environ/OPENAI_API_KEY}"),
        Some("sk-0123456789abcdef".to_owned())
    );
    assert_eq!(
        key("environment_variables: {LITELLM_MASTER_KEY: sk-set-by-the-file}"),
        Some("sk-set-by-the-file".to_owned())
    );
    assert_eq!(
        key("general_settings: {master_key: null}"),
        None,
        "an empty key hides the variable, as in LiteLLM"
    );
}

#[test]
fn includes_extend_lists_and_replace_everything_else() {
    let files = Files::new(&[
        (
            "config.yaml",
            "include: [a/one.yaml, two.yaml]\nmodel_list: [{model_name: root, litellm_params: {model: openai/x}}]\ngeneral_settings: {master_key: sk-of-the-root-file}\nuser_id_mappings: {default_user_id: root, custom_header: x-a}\n",
        ),
        (
            "a/one.yaml",
            "include: [deeper.yaml]\nmodel_list: [{model_name: one, litellm_params: {model: openai/x}}]\nuser_id_mappings: {default_user_id: one}\n",
        ),
        (
            "a/deeper.yaml",
            "model_list: [{model_name: deeper, litellm_params: {model: openai/x}}]\nuser_id_mappings: {default_user_id: deeper}\n",
        ),
        (
            "two.yaml",
            "include: [a/deeper.yaml]\nmodel_list: [{model_name: two, litellm_params: {model: openai/x}}]\n",
        ),
    ]);

    let loaded = files.load();

    let names: Vec<&str> = loaded
        .config
        .models
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["root", "one", "two", "deeper"],
        "breadth first, and no file twice"
    );
    assert_eq!(
        loaded.config.identity.default_user_id.as_deref(),
        Some("deeper"),
        "the last wins"
    );
    assert!(
        loaded.config.identity.custom_header.is_none(),
        "a mapping is replaced whole"
    );
    assert_eq!(
        loaded.config.auth.master_key.as_ref().map(Secret::reveal),
        Some("sk-of-the-root-file")
    );
    assert_eq!(loaded.files.len(), 4);
}

#[test]
fn faults_in_an_included_file_name_that_file() {
    let files = Files::new(&[
        ("config.yaml", "include: [sub/more.yaml]\nmodel_list: []\n"),
        ("sub/more.yaml", "model_list:\n  - model_name: x\n"),
    ]);
    assert_eq!(
        files.faults(),
        "sub/more.yaml:2:5: a model without `litellm_params`, add it"
    );
}

#[test]
fn two_files_that_include_each_other_are_a_fault() {
    let files = Files::new(&[
        ("config.yaml", "include: [b.yaml]\nmodel_list: []\n"),
        ("b.yaml", "include: [config.yaml]\n"),
    ]);
    assert_eq!(
        files.faults(),
        "b.yaml:1:11: config.yaml includes itself, remove one of the two lines"
    );
}

#[test]
fn user_id_mappings_keep_their_order_and_their_search() {
    let config = Files::litellm(
        "user_id_mappings:\n  custom_header: X-App-User\n  header_patterns:\n    - {header: User-Agent, pattern: java, user_id: a}\n    - {header: user-agent, pattern: '^cli', user_id: b}\n  default_user_id: os.environ/NUMBER\nmodel_list: []\n",
    ).load().config;
    let identity = config.identity;
    assert_eq!(identity.custom_header.unwrap(), "x-app-user");
    assert_eq!(identity.header_patterns[0].header, "user-agent");
    assert!(
        identity.header_patterns[0]
            .pattern
            .is_match("some java here"),
        "it searches"
    );
    assert!(!identity.header_patterns[1].pattern.is_match("a cli"));
    assert_eq!(identity.default_user_id.as_deref(), Some("7"));
}
