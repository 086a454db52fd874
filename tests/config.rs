//! Does the configuration say what the files say, and refuse what it must?

use std::path::Path;

use memgate::config::{Config, Env, Loaded, Sources};

const VARIABLES: [(&str, &str); 5] = [
    ("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef"),
    ("SUPERMEMORY_API_KEY", "sm_0123456789abcdef"),
    ("OPENAI_API_KEY", "sk-0123456789abcdef"),
    ("AZURE_API_KEY", "0123456789abcdef"),
    ("LITELLM_MASTER_KEY", "sk-fedcba9876543210"),
];

fn conf(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf")
        .join(name)
}

fn load(sources: &Sources) -> Loaded {
    Config::load(sources).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn a_litellm_file_alone_is_enough() {
    let mut sources = Sources::new(Env::from_pairs(VARIABLES));
    sources.litellm_config = Some(conf("litellm.example.yaml"));

    let loaded = load(&sources);

    let config = &loaded.config;
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:8764");
    let sonnet = &config.models.groups[0].deployments[0];
    let target = sonnet.direct.as_ref().unwrap();
    assert_eq!(sonnet.model, "claude-sonnet-4-5-20250929");
    assert_eq!(
        target.base.path, "/v3/https://api.anthropic.com",
        "`//` is meant"
    );
    assert_eq!(target.provider_host, "api.anthropic.com");
    assert!(config.auth.master_key.is_some());
    assert_eq!(loaded.warnings, [], "the example is one to follow");
}
