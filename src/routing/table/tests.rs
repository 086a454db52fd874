//! What does the route table hold to? LiteLLM's own rules, case by case.

use std::sync::Arc;

use proptest::prelude::*;

use crate::config::{
    BaseUrl, Bypass, BypassTarget, Deployment, DirectTarget, ModelAlias, ModelGroup, Models,
    Origin, ProviderDialect, Secret,
};

use super::*;

fn target() -> DirectTarget {
    DirectTarget {
        base: BaseUrl {
            origin: Origin {
                tls: true,
                host: "api.supermemory.ai".into(),
                port: 443,
            },
            path: "/v3/https://api.anthropic.com".into(),
        },
        provider_host: "api.anthropic.com".into(),
        dialect: ProviderDialect::Anthropic,
        api_key: Some(Secret::new("sk-ant-secret")),
        extra_headers: Vec::new(),
        router: true,
        bypass: Some(BypassTarget {
            base: BaseUrl {
                origin: Origin {
                    tls: true,
                    host: "api.anthropic.com".into(),
                    port: 443,
                },
                path: String::new(),
            },
            api_key: Some(Secret::new("sk-ant-secret")),
            extra_headers: Vec::new(),
        }),
        defaults: serde_json::Map::new(),
        defaults_at: std::collections::BTreeMap::new(),
    }
}

fn direct(model: &str) -> Deployment {
    Deployment {
        direct: Some(target()),
        ..litellm(model)
    }
}

fn litellm(model: &str) -> Deployment {
    Deployment {
        id: None,
        model: model.into(),
        weight: 1,
        direct: None,
    }
}

struct World(Models);

impl World {
    fn new() -> Self {
        Self(Models::default())
    }

    fn group(mut self, name: &str, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        self.0.groups.push(ModelGroup {
            name: name.into(),
            deployments: deployments.into_iter().map(Arc::new).collect(),
        });
        self
    }

    fn alias(mut self, name: &str, target: &str, hidden: bool) -> Self {
        self.0.aliases.push(ModelAlias {
            name: name.into(),
            target: target.into(),
            hidden,
        });
        self
    }

    fn table(self) -> RouteTable {
        RouteTable::new(&self.0)
    }
}

/// Route in short: direct or not, the spliced name, the rule.
fn placed(table: &RouteTable, model: &str) -> (bool, Option<String>, Rule) {
    let route = table.resolve(model, 0.0);
    (route.direct().is_some(), route.model, route.rule)
}

fn named(model: &str) -> Option<String> {
    Some(model.to_owned())
}

#[test]
fn an_exact_name_gets_the_name_its_deployment_wants() {
    let table = World::new()
        .group("claude-sonnet-4.5", [direct("claude-sonnet-4-5")])
        .table();

    assert_eq!(
        placed(&table, "claude-sonnet-4.5"),
        (true, named("claude-sonnet-4-5"), Rule::Exact)
    );
}

#[test]
fn a_name_that_is_already_right_leaves_the_body_alone() {
    let table = World::new()
        .group("claude-sonnet-4-5", [direct("claude-sonnet-4-5")])
        .table();

    assert_eq!(
        placed(&table, "claude-sonnet-4-5"),
        (true, None, Rule::Exact)
    );
}

#[test]
fn an_unknown_name_goes_to_litellm_unchanged_betas_and_all() {
    let table = World::new().group("claude", [direct("c")]).table();

    for model in [
        "nobody",
        "nobody,beta",
        "nobody-20250101",
        "claude,b\u{e9}ta",
        "",
        ",",
    ] {
        let route = table.resolve(model, 0.0);
        assert_eq!(placed(&table, model), (false, None, Rule::Unknown));
        assert_eq!(&*route.name, model);
        assert!(route.betas.is_empty());
    }
}

#[test]
fn a_deployment_id_names_one_deployment_of_its_group() {
    let by_id = Deployment {
        id: Some("dep-2".into()),
        ..direct("second")
    };
    let table = World::new().group("m", [direct("first"), by_id]).table();

    for pick in [0.0, 0.99] {
        let route = table.resolve("dep-2", pick);
        assert_eq!(route.model.as_deref(), Some("second"));
        assert_eq!(route.rule, Rule::DeploymentId);
    }
}

#[test]
fn a_name_that_is_both_an_entry_and_an_id_is_the_entry() {
    let by_id = Deployment {
        id: Some("shared".into()),
        ..direct("by-id")
    };
    let table = World::new()
        .group("other", [by_id])
        .group("shared", [direct("by-name")])
        .table();

    assert_eq!(
        placed(&table, "shared"),
        (true, named("by-name"), Rule::Exact)
    );
}

#[test]
fn an_alias_beats_an_entry_of_its_name_and_is_followed_once() {
    let table = World::new()
        .group("a", [direct("entry-a")])
        .group("b", [direct("entry-b")])
        .alias("a", "b", false)
        .alias("b", "c", false)
        .table();
    let route = table.resolve("a", 0.0);

    assert_eq!(placed(&table, "a"), (true, named("entry-b"), Rule::Alias));
    assert_eq!(route.names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn an_alias_may_stand_for_a_name_that_a_wildcard_takes() {
    let table = World::new()
        .group("anthropic/*", [direct("*")])
        .alias("best", "anthropic/claude-opus", false)
        .alias("lost", "nowhere/claude", false)
        .table();

    assert_eq!(
        placed(&table, "best"),
        (true, named("claude-opus"), Rule::Alias)
    );
    assert_eq!(
        placed(&table, "lost"),
        (false, None, Rule::Alias),
        "LiteLLM judges it"
    );
}

#[test]
fn a_wildcard_takes_what_no_entry_spells_out_and_star_the_rest() {
    let table = World::new()
        .group("*", [litellm("*")])
        .group("anthropic/*", [direct("*")])
        .group("anthropic/claude-haiku", [litellm("claude-haiku")])
        .table();

    assert_eq!(
        placed(&table, "anthropic/claude-opus"),
        (true, named("claude-opus"), Rule::Wildcard)
    );
    assert_eq!(
        placed(&table, "anthropic/claude-haiku"),
        (false, None, Rule::Exact)
    );
    assert_eq!(placed(&table, "whatever"), (false, None, Rule::Wildcard));
}

#[test]
fn betas_are_taken_off_the_name_on_both_routes() {
    let table = World::new()
        .group("sonnet", [direct("claude-sonnet")])
        .group("gpt", [litellm("gpt-4o")])
        .table();
    let direct = table.resolve("sonnet,context-1m,,files-api", 0.0);
    let litellm = table.resolve("gpt,context-1m", 0.0);

    assert_eq!(direct.betas, ["context-1m", "files-api"]);
    assert_eq!(direct.model.as_deref(), Some("claude-sonnet"));
    assert_eq!(litellm.betas, ["context-1m"]);
    assert_eq!(
        litellm.model.as_deref(),
        Some("gpt"),
        "LiteLLM is asked for the entry's public name"
    );
}

#[test]
fn a_dated_name_is_the_entry_without_its_date() {
    let table = World::new()
        .group("*", [litellm("*")])
        .group("claude-sonnet-4", [direct("claude-sonnet-4-0")])
        .group("gpt-x", [litellm("gpt-x")])
        .group("exact-20250101", [direct("dated")])
        .group("exact", [direct("undated")])
        .alias("best", "claude-sonnet-4", false)
        .table();

    assert_eq!(
        placed(&table, "claude-sonnet-4-20250514"),
        (true, named("claude-sonnet-4-0"), Rule::Exact),
        "an entry without the date beats a wildcard"
    );
    assert_eq!(
        placed(&table, "gpt-x-20250514,beta"),
        (false, named("gpt-x"), Rule::Exact)
    );
    assert_eq!(
        placed(&table, "exact-20250101"),
        (true, named("dated"), Rule::Exact)
    );
    assert_eq!(
        placed(&table, "best-20250101"),
        (true, named("claude-sonnet-4-0"), Rule::Alias)
    );
    assert_eq!(&*table.resolve("gpt-x-20250514", 0.0).name, "gpt-x");
}

#[test]
fn a_group_shares_its_requests_by_weight() {
    let weighed = |weight, deployment| Deployment {
        weight,
        ..deployment
    };
    let table = World::new()
        .group(
            "m",
            [
                weighed(1, direct("one")),
                weighed(0, direct("never")),
                weighed(3, litellm("three")),
            ],
        )
        .table();

    assert_eq!(table.resolve("m", 0.0).model.as_deref(), Some("one"));
    assert_eq!(table.resolve("m", 0.2499).model.as_deref(), Some("one"));
    assert!(
        table.resolve("m", 0.25).direct().is_none(),
        "a pick that is not direct means LiteLLM"
    );
    assert!(table.resolve("m", 0.999_999).direct().is_none());
}

#[test]
fn without_any_weight_all_deployments_count_the_same() {
    let weightless = |model| Deployment {
        weight: 0,
        ..direct(model)
    };
    let table = World::new()
        .group("m", [weightless("a"), weightless("b")])
        .table();

    assert_eq!(table.resolve("m", 0.49).model.as_deref(), Some("a"));
    assert_eq!(table.resolve("m", 0.51).model.as_deref(), Some("b"));
}

#[test]
fn the_list_has_entries_and_shown_aliases_but_no_wildcards() {
    let table = World::new()
        .group("anthropic/*", [direct("*")])
        .group("sonnet", [direct("s")])
        .group("gpt", [litellm("g")])
        .alias("best", "sonnet", false)
        .alias("secret", "sonnet", true)
        .table();
    let listed: Vec<(&str, bool)> = table
        .models()
        .iter()
        .map(|model| (&*model.name, model.direct))
        .collect();

    assert_eq!(listed, [("sonnet", true), ("gpt", false), ("best", true)]);
}

#[test]
fn direct_deployments_stand_at_their_index() {
    let table = World::new()
        .group("a", [litellm("x"), direct("y")])
        .group("b", [direct("z")])
        .table();
    let route = table.resolve("b", 0.0);
    let index = route.direct().unwrap().index;

    assert_eq!(index, 1);
    assert!(Arc::ptr_eq(route.direct().unwrap(), &table.direct()[index]));
}

#[test]
fn a_description_names_rule_way_and_model_and_no_secret() {
    let table = World::new()
        .group(
            "sonnet",
            [direct("claude-sonnet"), litellm("claude-sonnet")],
        )
        .alias("best", "sonnet", false)
        .table();
    let text = table
        .describe("best-20250101,files-api", Bypass::Provider)
        .to_string();

    assert_eq!(
        text,
        "best-20250101,files-api: alias `best`, alias of `sonnet`, anthropic-beta + files-api\n  \
         50 % direct to https://api.supermemory.ai/v3/https://api.anthropic.com (anthropic), model `claude-sonnet`, bypass to https://api.anthropic.com\n  \
         50 % to LiteLLM, model `best`"
    );
    let json = serde_json::to_string(&table.describe("sonnet", Bypass::None)).unwrap();
    assert!(!json.contains("sk-ant-secret"));
}

#[test]
fn a_description_says_where_a_request_goes_while_its_way_is_closed() {
    let table = World::new().group("sonnet", [direct("s")]).table();
    let told = |bypass| {
        let text = table.describe("sonnet", bypass).to_string();
        text.rsplit(", ").next().map(str::to_owned)
    };

    assert_eq!(
        told(Bypass::Provider).unwrap(),
        "bypass to https://api.anthropic.com"
    );
    assert_eq!(told(Bypass::LiteLlm).unwrap(), "bypass to LiteLLM");
    assert_eq!(
        told(Bypass::None).unwrap(),
        "no bypass: it waits in the queue"
    );
}

proptest! {
    #[test]
    fn a_description_agrees_with_the_route(model in "(sonnet|gpt|x|a/b)(-20250101)?(,beta)?") {
        let table = World::new()
            .group("sonnet", [direct("s")])
            .group("gpt", [litellm("g")])
            .group("a/*", [direct("*")])
            .table();
        let route = table.resolve(&model, 0.0);
        let described = table.describe(&model, Bypass::Provider);

        prop_assert_eq!(described.rule, route.rule.as_str());
        prop_assert_eq!(described.ways[0].url.is_some(), route.direct().is_some());
        prop_assert_eq!(&described.ways[0].model, &route.model.unwrap_or(model));
    }

    #[test]
    fn no_name_whatever_breaks_the_table(model in "\\PC{0,40}", pick in 0.0..1.0f64) {
        let table = World::new().group("*-*", [direct("*")]).table();
        let route = table.resolve(&model, pick);

        prop_assert!(route.betas.iter().all(|beta| http::HeaderValue::from_str(beta).is_ok()));
    }
}
