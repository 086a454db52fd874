//! Does the configuration say what the files say?

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test may fail, and a table may be long"
)]

mod check_output;
mod faults;
mod litellms_file;
mod our_own_file;
mod secret_sources;

use std::fs;
use std::path::{Path, PathBuf};

use memgate::config::{Config, Deployment, Env, Faults, Loaded, Sources};
use tempfile::TempDir;

const VARIABLES: [(&str, &str); 6] = [
    ("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef"),
    ("SUPERMEMORY_API_KEY", "sm_0123456789abcdef"),
    ("OPENAI_API_KEY", "sk-0123456789abcdef"),
    ("AZURE_API_KEY", "0123456789abcdef"),
    ("LITELLM_MASTER_KEY", "sk-fedcba9876543210"),
    ("NUMBER", "7"),
];

/// A folder of configuration files.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn litellm(text: &str) -> Self {
        Self::new(&[("config.yaml", text)])
    }

    fn sources(&self) -> Sources {
        let mut sources = Sources::new(Env::from_pairs(VARIABLES));
        let own = self.path("memgate.yaml");
        if own.exists() {
            sources.config = Some(own);
        } else {
            sources.litellm_config = Some(self.path("config.yaml"));
        }
        sources
    }

    fn load(&self) -> Loaded {
        load(&self.sources())
    }

    fn faults(&self) -> String {
        match Config::load(&self.sources()) {
            Ok(_) => panic!("it was accepted"),
            Err(faults) => self.relative(&faults.to_string()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.load()
            .warnings
            .iter()
            .map(|warning| self.relative(&warning.to_string()))
            .collect()
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn load(sources: &Sources) -> Loaded {
    Config::load(sources).unwrap_or_else(|faults| panic!("{faults}"))
}

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf")
        .join(name)
}

fn model<'a>(config: &'a Config, name: &str) -> &'a Deployment {
    let group = config.models.groups.iter().find(|group| group.name == name);
    &group
        .unwrap_or_else(|| panic!("no model {name}"))
        .deployments[0]
}

/// A file with one model that is called with this `api_base` and these further parameters.
fn one_model(api_base: &str, more: &str) -> Files {
    Files::litellm(&format!(
        "model_list:\n  - model_name: m\n    litellm_params:\n      model: anthropic/claude-x\n      \
         api_base: {api_base}\n      {more}\nuser_id_mappings: {{default_user_id: team}}\n"
    ))
}

#[test]
fn faults_are_sorted_by_place_and_told_once() {
    let faults =
        |text: &str| -> Result<Loaded, Faults> { Config::load(&Files::litellm(text).sources()) };
    let Err(faults) =
        faults("model_list: [&x {model_name: m}, *x]\ngeneral_settings: {master_key: 1}\n")
    else {
        panic!("it was accepted");
    };
    let lines: Vec<u32> = faults.iter().map(|fault| fault.place.line).collect();
    assert_eq!(lines, [1, 2], "the repeated entry is one mistake");
}
