//! Our own file: every key, its default, and what happens where it cannot be read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use memgate::clock::parse_stamp;
use memgate::config::{
    AccessLog, Bypass, Config, Effort, Env, KeyLimits, KeysFile, Price, Secret, Sources,
    ThinkingKind, Traits,
};

use super::{Files, VARIABLES, conf, load, model};

#[test]
fn the_reference_file_loads_and_says_the_defaults() {
    let mut sources = Sources::new(Env::from_pairs(VARIABLES));
    sources.config = Some(conf("memgate.yaml"));
    let written = load(&sources);
    let mut sources = Sources::new(Env::from_pairs(VARIABLES));
    sources.litellm_config = Some(conf("litellm.example.yaml"));
    let default = load(&sources);

    assert_eq!(written.warnings, []);
    let (written, default) = (written.config, default.config);
    assert_eq!(
        format!("{:?}", written.limits),
        format!("{:?}", default.limits)
    );
    assert_eq!(
        format!("{:?}", written.retry),
        format!("{:?}", default.retry)
    );
    assert_eq!(
        format!("{:?}", written.server),
        format!("{:?}", default.server)
    );
    assert_eq!(written.translation, default.translation);
    assert!(written.log == default.log);
    assert_eq!(written.traces, default.traces);
    assert_eq!(written.prices, default.prices);
    assert_eq!(written.usage_log, default.usage_log);
    assert_eq!(written.cookies.share, default.cookies.share);
    assert_eq!(written.cookies.egress, default.cookies.egress);
    assert_eq!(written.direct.domains, default.direct.domains);
    assert_eq!(written.direct.bypass, default.direct.bypass);
    assert_eq!(written.direct.bypass_sticky, default.direct.bypass_sticky);
    assert_eq!(
        written.direct.max_concurrency,
        default.direct.max_concurrency
    );
    assert_eq!(
        format!("{:?}", written.direct.queue),
        format!("{:?}", default.direct.queue)
    );
    assert_eq!(
        format!("{:?}", written.direct.circuit),
        format!("{:?}", default.direct.circuit)
    );
    assert!(written.egress.is_none() && default.egress.is_none());
    assert_eq!(written.litellm.urls, default.litellm.urls);
    assert_eq!(written.litellm.expose, default.litellm.expose);
    assert_eq!(written.admin, default.admin);
    assert_eq!(written.listen[0].address, default.listen[0].address);
    assert_eq!(written.auth.litellm, default.auth.litellm);
    assert_eq!(written.auth.allow_anonymous, default.auth.allow_anonymous);
}

#[test]
fn the_file_of_the_package_serves_this_machine_alone_and_warns_of_nothing() {
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/memgate.yaml");
    let text = fs::read_to_string(packaged).unwrap();
    let files = Files::new(&[]);
    let state = files.path("");
    let own = text.replace("/var/lib/memgate/", state.to_str().unwrap());
    fs::write(files.path("memgate.yaml"), own).unwrap();
    let mut sources = Sources::new(Env::from_pairs([]));
    sources.config = Some(files.path("memgate.yaml"));

    let loaded = load(&sources);

    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert!(
        config
            .listen
            .iter()
            .all(|one| one.address.ip().is_loopback())
    );
    assert!(
        config
            .cookies
            .file
            .is_some_and(|file| file.starts_with(state))
    );
}

#[test]
fn a_control_socket_of_the_command_line_goes_before_the_files() {
    let files = Files::new(&[("memgate.yaml", "server: {control_socket: of-the-file}\n")]);
    let mut sources = files.sources();
    sources.control_socket = Some("/run/of-the-flag".into());

    let flag = load(&sources).config.server.control_socket;
    let file = files.load().config.server.control_socket;

    assert_eq!(flag.as_deref(), Some(Path::new("/run/of-the-flag")));
    assert_eq!(file, Some(files.path("of-the-file")));
}

#[test]
fn the_example_of_a_keys_file_says_what_its_comments_say() {
    let text = fs::read(conf("keys.yaml")).unwrap();
    let keys = KeysFile::parse(&text, "keys.yaml").unwrap_or_else(|faults| panic!("{faults}"));

    let [anna, ci, plugins] = keys.as_slice() else {
        panic!("{} keys", keys.len());
    };
    assert_eq!((&*anna.name, anna.user.as_deref()), ("anna", Some("anna")));
    assert_eq!(anna.models, ["claude-*"]);
    assert_eq!(anna.limits.usd_per_day, Some(50.0));
    assert_eq!(anna.expires.as_deref(), Some("2027-01-31T00:00:00Z"));
    assert!(!anna.impersonate && !anna.shared);
    assert!(ci.impersonate && plugins.shared);
    assert_eq!(ci.limits, KeyLimits::default());
}

#[test]
fn a_day_or_a_moment_is_when_a_key_expires() {
    let expires = |said: &str| {
        let digest = "0".repeat(64);
        let text = format!("keys: [{{name: x, sha256: '{digest}', expires: {said}}}]");
        let keys = KeysFile::parse(text.as_bytes(), "keys.yaml").ok()?;
        keys[0].expires.clone()
    };

    for (said, moment) in [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("\"2027-01-31\"", "2027-01-31T00:00:00Z"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00Z"),
        ("2027-01-31 18:00:00.5+02:00", "2027-01-31 18:00:00.5+02:00"),
    ] {
        assert_eq!(expires(said).as_deref(), Some(moment), "{said}");
        assert!(parse_stamp(moment).is_some(), "it can be read: {moment}");
    }
    for none in [
        "2027-02-29",
        "'2027-02-29'",
        "2027-1-31",
        "2027-01-31 18:00:00 -5",
        "never",
        "5",
    ] {
        assert_eq!(expires(none), None, "{none}");
    }
}

#[test]
fn every_section_is_read() {
    let files = Files::new(&[
        ("state/jar.json", ""),
        (
            "memgate.yaml",
            "listen: [{address: \"[::1]:1\", h2c: true}, \"127.0.0.1:2\"]\n\
         admin: off\n\
         admin_key: os.environ/OPENAI_API_KEY\n\
         litellm: {urls: [\"https://a.example/base/\", \"http://b.example:4001\"], api_key: os.environ/AZURE_API_KEY, expose: all}\n\
         direct: {domains: [Example.COM.], resolve: {\"api.example.com:443\": \"127.0.0.1:9443\"}, bypass: litellm, bypass_sticky: 0s, max_concurrency: 7, queue: {max: 3, timeout: 2s, before_bypass: 0s}, circuit: {failures: 5%, requests: 2, window: 1m, open: 100ms}}\n\
         cookies: {share: __cf_bm, egress: nat-1, file: state/jar.json}\n\
         retry: {attempts: 5, initial_delay: 250ms, max_delay: 1h, budget: 100%}\n\
         auth: {litellm: no, allow_anonymous: no, hosts: [memgate.internal]}\n\
         limits: {body: 1MiB, bodies_in_flight: 2MiB, idle_timeout: 5m, headers: 50, head: 16KiB, uri: 1KiB, write_timeout: 2s, keepalive_timeout: 5s, connections: 9, connections_per_address: 3, connection_requests: 7, connection_age: 1m}\n\
         trusted_proxies: [10.1.2.3/8, 192.0.2.1]\n\
         server: {threads: os.environ/NUMBER, work_stealing: true, pid_file: m.pid}\n\
         egress: {listen: \"[::1]:3\", allow: [API.Example.com., api.supermemory.ai]}\n\
         log: {access: state/access.log, sample: 5%, slow: {first_byte: 0s}, user_key: os.environ/OPENAI_API_KEY}\n\
         traces: {otlp: \"http://collector:4318/\", sample: 10%, headers: {Authorization: os.environ/OPENAI_API_KEY}}\n\
         memory: {}\n",
        ),
    ]);

    let config = files.load().config;

    let direct = &config.direct;
    assert_eq!(direct.bypass, Bypass::LiteLlm);
    assert_eq!(
        (direct.bypass_sticky, direct.max_concurrency),
        (Duration::ZERO, 7)
    );
    assert_eq!(
        format!("{:?}", direct.queue),
        "Queue { max: 3, timeout: 2s, before_bypass: 0ns }"
    );
    assert_eq!(
        format!("{:?}", direct.circuit),
        "Circuit { failures: 0.05, requests: 2, window: 60s, open: 100ms }"
    );
    assert!((config.retry.budget - 1.0).abs() < f64::EPSILON);
    let egress = config.egress.as_ref().unwrap();
    assert_eq!(egress.listen.to_string(), "[::1]:3");
    assert_eq!(egress.allow, ["api.example.com", "api.supermemory.ai"]);

    let log = &config.log;
    assert!(matches!(&log.access, AccessLog::File(path) if path.ends_with("state/access.log")));
    assert_eq!(
        format!("{:?}", log.slow),
        "Slow { first_byte: 0ns, whole: 600s }"
    );
    assert!((log.sample - 0.05).abs() < f64::EPSILON);
    assert_eq!(
        log.user_key.as_ref().map(Secret::reveal),
        Some("sk-0123456789abcdef")
    );
    let collector = config.traces.otlp.as_ref().unwrap();
    assert_eq!(collector.url.to_string(), "http://collector:4318/v1/traces");
    let (name, value) = &collector.headers[0];
    assert_eq!(
        (name.as_str(), value.as_bytes()),
        ("authorization", &b"sk-0123456789abcdef"[..])
    );
    assert!(value.is_sensitive() && (config.traces.sample - 0.1).abs() < f64::EPSILON);

    assert_eq!(config.listen[0].address.to_string(), "[::1]:1");
    assert!(config.listen[0].h2c && !config.listen[1].h2c);
    assert!(config.admin.is_none());
    assert_eq!(
        config.admin_key.as_ref().map(Secret::reveal),
        Some("sk-0123456789abcdef")
    );
    let urls: Vec<String> = config
        .litellm
        .urls
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(urls, ["https://a.example/base", "http://b.example:4001"]);
    assert_eq!(
        config.litellm.api_key.as_ref().map(Secret::reveal),
        Some("0123456789abcdef")
    );
    assert_eq!(config.direct.domains, ["example.com"]);
    let pinned = config
        .direct
        .resolve
        .get(&("api.example.com".to_owned(), 443));
    assert_eq!(
        pinned.map(ToString::to_string).as_deref(),
        Some("127.0.0.1:9443")
    );
    assert_eq!(
        config.server.threads, 7,
        "a variable's text is read as the number it spells"
    );
    assert_eq!(config.cookies.share, ["__cf_bm"]);
    assert_eq!(
        config.cookies.file,
        Some(files.path("state/jar.json")),
        "relative to the file"
    );
    assert_eq!(config.retry.initial_delay, Duration::from_millis(250));
    assert_eq!(config.retry.max_delay, Duration::from_secs(3600));
    assert!(!config.auth.litellm && !config.auth.allow_anonymous);
    assert_eq!(config.auth.hosts, ["memgate.internal"]);
    assert_eq!(
        (config.limits.body, config.limits.bodies_in_flight),
        (1 << 20, 2 << 20)
    );
    let limits = &config.limits;
    assert_eq!(
        (limits.headers, limits.head, limits.uri),
        (50, 16 << 10, 1 << 10)
    );
    let times = [
        limits.write_timeout,
        limits.keepalive_timeout,
        limits.connection_age,
    ];
    assert_eq!(times.map(|time| time.as_secs()), [2, 5, 60]);
    let counts = [
        limits.connections,
        limits.connections_per_address,
        limits.connection_requests,
    ];
    assert_eq!(counts, [9, 3, 7]);
    let nets: Vec<String> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(nets, ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(
        (config.server.threads, config.server.work_stealing),
        (7, true)
    );
}

#[test]
fn what_a_cache_takes_has_anthropics_share_of_the_input_where_nothing_is_said() {
    let price = |said: &str| {
        let own = format!("prices: {{version: today, models: {{m: {{{said}}}}}}}\n");
        let config = Files::new(&[("memgate.yaml", &own)]).load().config;
        config.prices.of(["m"].into_iter()).unwrap()
    };

    let unsaid = price("input: 4, output: 20");
    let said = price("input: 4, output: 20, cache_read: 0.4, cache_write: 0, cache_write_1h: 4");

    let cache = |price: Price| (price.cache_read, price.cache_write, price.cache_write_1h);
    assert_eq!(cache(unsaid), (4.0, 5.0, 8.0));
    assert_eq!(cache(said), (0.4, 0.0, 4.0));
}

#[test]
fn what_models_can_do_is_said_by_the_beginnings_of_their_ids() {
    let files = Files::new(&[(
        "memgate.yaml",
        "translation:\n  lenient: true\n  strict_tools: true\n  dummy_tool: true\n  models:\n    \
         claude-x: {thinking: always, efforts: [max, low, low], sampling: false, max_tokens: 9000}\n    \
         claude-y: {thinking: none, efforts: [], prefill: true}\n",
    )]);

    let translation = files.load().config.translation;

    assert!(translation.lenient && translation.strict_tools && translation.dummy_tool);
    let x = translation.traits_of("claude-x-1").unwrap();
    let expected = Traits {
        thinking: Some(ThinkingKind::Always),
        efforts: Some(vec![Effort::Low, Effort::Max]),
        sampling: Some(false),
        max_tokens: Some(9000),
        ..Traits::default()
    };
    assert_eq!(*x, expected, "what is not said stays open");
    let y = translation.traits_of("claude-y").unwrap();
    assert_eq!(y.thinking, Some(ThinkingKind::None));
    assert_eq!(
        (y.efforts.as_deref(), y.prefill),
        (Some(&[][..]), Some(true))
    );
    assert_eq!(translation.traits_of("claude-z"), None);
}

#[test]
fn a_null_is_the_default() {
    let files = Files::new(&[(
        "memgate.yaml",
        "listen:\nadmin: ~\nlimits: {body: null}\negress: null\nretry:\n",
    )]);
    let config = files.load().config;
    assert_eq!(config.limits.body, 32 << 20);
    assert_eq!(config.listen[0].address.port(), 8764);
}

#[test]
fn an_egress_section_opens_the_port_and_is_warned_of_beyond_loopback() {
    let open = |text: &str| {
        let loaded = Files::new(&[("memgate.yaml", text)]).load();
        let egress = loaded.config.egress.unwrap();
        let warned = loaded.warnings.iter().any(|warning| {
            warning.place.column == 18 && warning.message.contains("no key is asked for")
        });
        (egress.listen.to_string(), egress.allow, warned)
    };
    let allowed = vec!["api.supermemory.ai".to_owned()];

    assert_eq!(
        open("egress: {}\n"),
        ("127.0.0.1:8767".to_owned(), allowed.clone(), false)
    );
    assert_eq!(
        open("egress: {listen: 0.0.0.0:1}\n"),
        ("0.0.0.0:1".to_owned(), allowed, true)
    );
}

#[test]
fn a_port_for_other_machines_without_tls_or_a_named_balancer_is_warned_of() {
    let warned = |text: &str| {
        let loaded = Files::new(&[("memgate.yaml", text)]).load();
        let places = loaded.warnings.iter().filter(|warning| {
            warning
                .message
                .contains("name the balancer in front of it in `trusted_proxies`")
        });
        places.map(|warning| warning.place.line).collect::<Vec<_>>()
    };

    assert_eq!(
        warned("admin: off\nlisten: [127.0.0.1:1, 0.0.0.0:2]\n"),
        [2]
    );
    assert!(warned("listen: [127.0.0.1:1]\n").is_empty());
    assert!(warned("listen: [0.0.0.0:2]\ntrusted_proxies: [10.0.0.1]\n").is_empty());
}

#[test]
fn flags_win_over_the_file() {
    let files = Files::new(&[
        (
            "memgate.yaml",
            "listen: \"127.0.0.1:1\"\nadmin: 127.0.0.1:2\nlitellm: {urls: [\"http://a\"], config: missing.yaml}\n",
        ),
        (
            "other.yaml",
            "model_list: [{model_name: m, litellm_params: {model: openai/x}}]\n",
        ),
    ]);
    let mut sources = files.sources();
    sources.listen = vec!["127.0.0.1:11".to_owned()];
    sources.admin = Some("127.0.0.1:12".to_owned());
    sources.litellm_urls = vec!["http://b".to_owned(), "http://c:5".to_owned()];
    sources.litellm_config = Some(files.path("other.yaml"));

    let loaded = load(&sources);

    assert_eq!(loaded.config.listen[0].address.port(), 11);
    assert_eq!(loaded.config.admin.map(|admin| admin.port()), Some(12));
    assert_eq!(loaded.config.litellm.urls.len(), 2);
    assert_eq!(model(&loaded.config, "m").model, "x");
    assert_eq!(
        loaded.files,
        [files.path("memgate.yaml"), files.path("other.yaml")]
    );
}

#[test]
fn a_wrong_flag_is_told_by_the_flag() {
    let mut sources = Sources::new(Env::from_pairs([]));
    sources.listen = vec!["nonsense".to_owned()];
    sources.litellm_urls = vec!["nonsense".to_owned()];
    sources.litellm_config = Some("/no/such/file.yaml".into());

    let told = Config::load(&sources)
        .err()
        .map(|faults| faults.to_string())
        .unwrap_or_default();

    for line in [
        "--listen:1:1: `listen` is `nonsense`",
        "--litellm-url:1:1: a URL of LiteLLM is not a URL",
        "--litellm-config:1:1: cannot read /no/such/file.yaml: there is no such file",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_never_starts_with_defaults() {
    let files = Files::new(&[("memgate.yaml", "")]);
    fs::write(files.path("memgate.yaml"), b"listen: \"\xff\"").unwrap();
    assert_eq!(
        files.faults(),
        "memgate.yaml:1:10: not UTF-8, save the file in that encoding"
    );

    let mut sources = files.sources();
    for (path, told) in [
        (files.path("none.yaml"), "there is no such file"),
        (files.path(""), "it is a directory"),
    ] {
        sources.config = Some(path);
        let faults = Config::load(&sources)
            .err()
            .map(|faults| faults.to_string())
            .unwrap_or_default();
        assert!(faults.contains(told), "{faults}");
    }
}

#[test]
fn a_file_that_could_not_be_written_is_a_fault_and_trying_leaves_no_trace() {
    let with = |text: &str| Files::new(&[("memgate.yaml", text), ("state/jar.json", "{}")]);
    let cases = [
        (
            "cookies: {file: gone/jar.json}\n",
            "memgate.yaml:1:17: `cookies.file`",
            "entity not found",
        ),
        (
            "cookies: {file: state}\n",
            "memgate.yaml:1:17: `cookies.file`",
            "is a directory",
        ),
        (
            "server:\n  pid_file: /nonexistent/m.pid\n",
            "memgate.yaml:2:13: `server.pid_file`",
            "entity not found",
        ),
        (
            "server:\n  pid_file: memgate.yaml/m.pid\n",
            "memgate.yaml:2:13: `server.pid_file`",
            "not a directory",
        ),
    ];
    for (text, place, why) in cases {
        let faults = with(text).faults();

        assert!(
            faults.starts_with(&format!("{place} names a file that cannot be written ("))
                && faults.contains(why),
            "{faults}"
        );
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }

    let files = with("cookies: {file: state/jar.json}\nserver: {pid_file: state/m.pid}\n");
    files.load();
    assert_eq!(
        fs::read_to_string(files.path("state/jar.json")).unwrap(),
        "{}"
    );
    assert_eq!(fs::read_dir(files.path("state")).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_folder_where_nothing_can_be_made_is_a_fault_though_it_is_there() {
    let faults = Files::new(&[("memgate.yaml", "cookies: {file: /proc/jar.json}\n")]).faults();
    assert!(
        faults
            .starts_with("memgate.yaml:1:17: `cookies.file` names a file that cannot be written ("),
        "{faults}"
    );
}

#[test]
fn no_secret_is_in_what_is_told_of_it() {
    let files = Files::new(&[
        (
            "memgate.yaml",
            "litellm: {api_key: \"secret blank\", urls: [\"http://u:secret@h\"], config: config.yaml}\nadmin_key: [secret]\n",
        ),
        (
            "config.yaml",
            "general_settings: {master_key: \"secret key\"}\nmodel_list:\n  - model_name: m\n    litellm_params: {model: anthropic/x, api_base: \"https://u:secret@supermemory.ai/v3/x\", api_key: \"secret\\nkey\", extra_headers: {a: \"secret\\r\\n\"}}\n",
        ),
    ]);
    let told = match Config::load(&files.sources()) {
        Err(faults) => format!("{faults}\n{:?}", faults.warnings()),
        Ok(_) => panic!("it was accepted"),
    };
    assert!(!told.contains("secret"), "{told}");
}
