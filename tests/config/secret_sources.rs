//! Where secrets come from beside the files: variables, systemd's credentials, files of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use memgate::config::{Config, Env, Sources};

use super::{Files, load, model};

/// The configuration of these files in an environment of this alone.
fn sources(files: &Files, variables: &[(&str, &str)]) -> Sources {
    Sources {
        env: Env::from_pairs(variables.iter().copied()),
        ..files.sources()
    }
}

fn faults(files: &Files, variables: &[(&str, &str)]) -> String {
    match Config::load(&sources(files, variables)) {
        Ok(_) => panic!("it was accepted"),
        Err(faults) => files.relative(&faults.to_string()),
    }
}

const DIRECT: &str = "model_list:\n  - model_name: m\n    litellm_params: {model: anthropic/x, api_base: \"https://supermemory.ai/v3/x.example\", api_key: os.environ/PROVIDER_KEY}\n\
    general_settings: {master_key: os.environ/TEAM_KEY}\nuser_id_mappings: {default_user_id: team}\n";

#[test]
fn a_credential_of_systemds_stands_in_for_a_variable_in_both_files() {
    let files = Files::new(&[
        (
            "memgate.yaml",
            "admin_key: os.environ/ADMIN_KEY\nlitellm: {config: config.yaml}\n",
        ),
        ("config.yaml", DIRECT),
        ("credentials/PROVIDER_KEY", "sk-ant-of-the-provider\n"),
        ("credentials/TEAM_KEY", "sk-of-the-team-0123456789\r\n"),
        ("credentials/ADMIN_KEY", "sk-of-the-admin-0123456789\n\n"),
    ]);
    let folder = files.path("credentials");
    let folder = folder.to_str().unwrap();

    let config = load(&sources(&files, &[("CREDENTIALS_DIRECTORY", folder)])).config;

    let revealed = |secret: &Option<memgate::config::Secret>| {
        secret.as_ref().map(|secret| secret.reveal().to_owned())
    };
    let target = model(&config, "m").direct.as_ref().unwrap();
    assert_eq!(
        revealed(&target.api_key).as_deref(),
        Some("sk-ant-of-the-provider")
    );
    assert_eq!(
        revealed(&config.auth.master_key).as_deref(),
        Some("sk-of-the-team-0123456789")
    );
    assert_eq!(
        revealed(&config.admin_key).as_deref(),
        Some("sk-of-the-admin-0123456789")
    );
}

#[test]
fn a_variable_goes_before_a_credential_of_its_name() {
    let files = Files::new(&[
        ("memgate.yaml", "admin_key: os.environ/ADMIN_KEY\n"),
        ("credentials/ADMIN_KEY", "sk-of-the-file"),
    ]);
    let folder = files.path("credentials");
    let variables = [
        ("CREDENTIALS_DIRECTORY", folder.to_str().unwrap()),
        ("ADMIN_KEY", "sk-of-the-variable"),
    ];

    let config = load(&sources(&files, &variables)).config;

    assert_eq!(config.admin_key.unwrap().reveal(), "sk-of-the-variable");
}

#[test]
fn a_folder_of_credentials_is_found_by_the_names_of_its_files() {
    let files = Files::new(&[
        ("credentials/memgate_TEAM_KEY", "sk-of-the-folder\n"),
        ("credentials/ADMIN_KEY", "sk-by-its-name"),
        ("credentials/memgate_ADMIN_KEY", "sk-of-the-folder"),
    ]);
    let folder = files.path("credentials");
    let env = Env::from_pairs([("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())]);

    assert_eq!(env.var("TEAM_KEY").as_deref(), Some("sk-of-the-folder"));
    assert_eq!(env.var("ADMIN_KEY").as_deref(), Some("sk-by-its-name"));
    assert_eq!(env.var("OTHER_KEY"), None);
}

#[test]
fn no_name_leads_out_of_the_credentials() {
    let files = Files::new(&[
        ("outside", "sk-of-somebody-else"),
        ("credentials/.hidden", "sk-hidden"),
        ("credentials/below/KEY", "sk-below"),
    ]);
    let folder = files.path("credentials");
    let env = Env::from_pairs([("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())]);

    let outside = files.path("outside");
    for name in [
        "../outside",
        ".hidden",
        "below/KEY",
        ".",
        "..",
        outside.to_str().unwrap(),
    ] {
        assert_eq!(env.var(name), None, "{name}");
    }
}

#[test]
fn any_string_of_our_file_may_stand_in_a_file_of_its_own() {
    let files = Files::new(&[
        (
            "conf/memgate.yaml",
            "admin_key: file:../run/admin\nlimits: {body: file:size}\nretry: {attempts: file:attempts}\n",
        ),
        ("run/admin", "sk-of-the-admin-0123456789\n"),
        ("conf/size", "16MiB\n"),
        ("conf/attempts", "5"),
    ]);
    let sources = Sources {
        config: Some(files.path("conf/memgate.yaml")),
        ..Sources::new(Env::from_pairs([]))
    };

    let config = load(&sources).config;

    assert_eq!(
        config.admin_key.unwrap().reveal(),
        "sk-of-the-admin-0123456789"
    );
    assert_eq!(config.limits.body, 16 << 20);
    assert_eq!(config.retry.attempts, 5);
}

#[test]
fn a_file_that_holds_no_usable_value_is_a_fault_that_does_not_show_it() {
    let long = "x".repeat(70_000);
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "empty",
            b"\n",
            "cannot read secret: it is empty, write the value into it",
        ),
        (
            "binary",
            b"\xff\xfe",
            "cannot read secret: it is not text, name a file that holds a key",
        ),
        (
            "long",
            long.as_bytes(),
            "cannot read secret: it is longer than any key, name a file that holds one",
        ),
        (
            "two lines",
            b"sk-one\nsk-two\n",
            "`admin_key` holds a blank or a character that no key may hold, check how it was copied",
        ),
        (
            "a blank",
            b"sk-one \n",
            "`admin_key` holds a blank or a character that no key may hold, check how it was copied",
        ),
    ];
    for (what, content, expected) in cases {
        let files = Files::new(&[("memgate.yaml", "admin_key: file:secret\n")]);
        fs::write(files.path("secret"), content).unwrap();

        let told = faults(&files, &[]);

        assert_eq!(told, format!("memgate.yaml:1:12: {expected}"), "{what}");
    }
    let files = Files::new(&[("memgate.yaml", "admin_key: file:nowhere\n")]);
    let expected =
        "memgate.yaml:1:12: cannot read nowhere: there is no such file, correct the name";
    assert_eq!(faults(&files, &[]), expected);
}

#[test]
fn a_value_of_a_file_that_does_not_fit_is_not_shown() {
    let files = Files::new(&[
        ("memgate.yaml", "limits: {body: file:secret}\n"),
        ("secret", "sk-of-somebody\n"),
    ]);

    let told = faults(&files, &[]);

    assert!(
        told.contains("`limits.body` is taken from a variable or file"),
        "{told}"
    );
    assert!(!told.contains("sk-of-somebody"), "{told}");
}

#[test]
fn every_file_with_a_secret_that_everybody_can_read_is_warned_of() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = Files::new(&[
        (
            "memgate.yaml",
            "listen: [{address: '127.0.0.1:0', tls: {cert: cert.pem, key: key.pem}}]\n\
             admin_key: file:admin\ncookies: {file: jar}\nauth: {keys_file: keys}\nlitellm: {api_key: sk-in-plain-text-0123, config: config.yaml}\n",
        ),
        (
            "config.yaml",
            "general_settings: {master_key: sk-in-plain-text-4567}\nmodel_list: []\n",
        ),
        ("cert.pem", &made.cert.pem()),
        ("key.pem", &made.signing_key.serialize_pem()),
        ("admin", "sk-of-the-admin-0123456789\n"),
        ("jar", ""),
        ("keys", "keys: []\n"),
    ]);
    let all = [
        "memgate.yaml",
        "config.yaml",
        "key.pem",
        "admin",
        "jar",
        "keys",
    ];
    let set = |mode: u32| {
        for name in all.into_iter().chain(["cert.pem"]) {
            fs::set_permissions(files.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let open = || {
        let warnings = files.warnings().into_iter();
        let warnings = warnings.filter(|warning| warning.contains("chmod 600"));
        let mut names: Vec<String> = warnings
            .filter_map(|warning| Some(warning.split(':').next()?.to_owned()))
            .collect();
        names.sort();
        names
    };

    set(0o604);
    let mut expected = all.map(str::to_owned);
    expected.sort();
    assert_eq!(open(), expected, "a certificate is no secret");
    set(0o640);
    assert!(open().is_empty());
}

#[test]
fn an_admin_key_in_a_file_is_looked_at_as_one_in_a_variable_is() {
    let files = Files::new(&[
        ("memgate.yaml", "admin_key: file:admin\n"),
        ("admin", "changeme\n"),
    ]);

    let warnings = files.warnings();

    let weak = |warning: &String| warning.contains("`admin_key` is easy to guess");
    assert!(warnings.iter().any(weak), "{warnings:?}");
    assert!(
        !warnings
            .iter()
            .any(|warning| warning.contains("plain text"))
    );
}

#[test]
fn a_certificate_with_another_ones_key_is_a_fault() {
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let listen = "listen: [{address: '127.0.0.1:0', tls: {cert: cert.pem, key: key.pem}}]\n";
    let with = |cert: &str, key: &str| {
        Files::new(&[
            ("memgate.yaml", listen),
            ("cert.pem", cert),
            ("key.pem", key),
        ])
    };

    let strangers = with(&one.cert.pem(), &other.signing_key.serialize_pem());
    assert_eq!(
        strangers.faults(),
        "memgate.yaml:1:62: `listen.tls.key` is not the key of the first certificate in `cert`, name a pair"
    );
    let neither = with("", "").faults();
    assert_eq!(neither.lines().count(), 2, "both are told: {neither}");
    assert!(
        with(&one.cert.pem(), &one.signing_key.serialize_pem())
            .load()
            .config
            .listen[0]
            .tls
            .is_some()
    );
}
