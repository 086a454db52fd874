//! Which of LiteLLM's settings for all models do not hold for those that the gateway calls itself?

use super::features::is_on;
use super::{Node, Place};
use crate::config::yaml::Value;

/// What decides who may ask for what.
const ACCESS: &str = "access control";

/// A section for all models. What is set in it is told unless it is known to be of no consequence.
struct Section {
    name: &'static str,
    /// Honoured here, told per model, or about LiteLLM's own process, database and pages alone.
    untold: &'static [&'static str],
    known: &'static [(&'static str, &'static [&'static str])],
    /// What any other key is called.
    other: &'static str,
}

const SECTIONS: [Section; 3] = [
    Section {
        name: "litellm_settings",
        untold: &[
            "content_policy_fallbacks",
            "context_window_fallbacks",
            "fallbacks",
            "json_logs",
            "model_alias_map",
            "set_verbose",
            "suppress_debug_info",
        ],
        known: &[
            ("cache", &["cache", "cache_params"]),
            (
                "callbacks",
                &[
                    "audit_log_callbacks",
                    "callbacks",
                    "failure_callback",
                    "service_callback",
                    "success_callback",
                    "turn_off_message_logging",
                ],
            ),
            ("guardrails", &["guardrails"]),
            ("fallbacks", &["default_fallbacks"]),
            (
                "budgets",
                &[
                    "budget_duration",
                    "default_internal_user_params",
                    "default_team_settings",
                    "max_budget",
                    "max_internal_user_budget",
                ],
            ),
            ("retries", &["allowed_fails", "num_retries"]),
            ("time-outs", &["request_timeout"]),
            (
                "corrections of the body",
                &["drop_params", "modify_params", "post_call_rules"],
            ),
            ("model group settings", &["model_group_settings"]),
        ],
        other: "setting",
    },
    Section {
        name: "router_settings",
        untold: &[
            "content_policy_fallbacks",
            "context_window_fallbacks",
            "debug_level",
            "fallbacks",
            "model_group_alias",
            "set_verbose",
        ],
        known: &[
            ("fallbacks", &["default_fallbacks", "max_fallbacks"]),
            ("budgets", &["provider_budget_config"]),
            (
                "pre-call checks",
                &["enable_pre_call_checks", "optional_pre_call_checks"],
            ),
            ("time-outs", &["stream_timeout", "timeout"]),
            (
                "retries",
                &[
                    "model_group_retry_policy",
                    "num_retries",
                    "retry_after",
                    "retry_policy",
                ],
            ),
        ],
        other: "routing",
    },
    Section {
        name: "general_settings",
        untold: &[
            "master_key",
            "background_health_checks",
            "database_connection_pool_limit",
            "database_connection_timeout",
            "disable_prisma_schema_update",
            "disable_spend_logs",
            "health_check_details",
            "health_check_interval",
            "pass_through_endpoints",
            "proxy_batch_write_at",
            "store_model_in_db",
            "ui_access_mode",
        ],
        known: &[
            (
                ACCESS,
                &[
                    "allowed_ips",
                    "allowed_routes",
                    "custom_auth",
                    "custom_auth_run_common_checks",
                    "enable_jwt_auth",
                    "enable_oauth2_auth",
                    "enable_oauth2_proxy_auth",
                    "enforce_rbac",
                    "enforce_user_param",
                    "enforced_params",
                    "litellm_jwtauth",
                    "litellm_key_header_name",
                    "oauth2_config_mappings",
                    "public_routes",
                    "reject_clientside_metadata_tags",
                    "role_permissions",
                    "service_account_settings",
                ],
            ),
            (
                "request limits",
                &[
                    "global_max_parallel_requests",
                    "max_in_flight_requests_per_worker",
                    "max_parallel_requests",
                    "max_queued_requests_per_worker",
                    "max_request_size_mb",
                    "max_response_size_mb",
                ],
            ),
            ("spend log and budgets of keys", &["database_url"]),
            (
                "spend log",
                &["store_prompts_in_spend_logs", "user_header_name"],
            ),
            (
                "alerts",
                &[
                    "alert_to_webhook_url",
                    "alert_types",
                    "alerting",
                    "alerting_args",
                    "alerting_threshold",
                ],
            ),
            (
                "secret manager",
                &["key_management_settings", "key_management_system"],
            ),
        ],
        other: "setting",
    },
];

/// Beside the sections, at the top of the file.
const TOP: [&str; 2] = ["guardrails", "policies"];

/// One setting that holds for LiteLLM's own requests alone.
pub(super) struct Unheeded<'a> {
    pub place: &'a Place,
    /// `access control (general_settings.allowed_ips)`
    pub feature: String,
    pub is_access_control: bool,
}

pub(super) fn unheeded(root: &Node) -> Vec<Unheeded<'_>> {
    let in_sections = SECTIONS.iter().flat_map(|section| section.unheeded(root));
    let at_the_top = TOP.iter().filter_map(|key| {
        let node = root.get(key).filter(|node| is_on(node))?;
        Some(Unheeded {
            place: &node.place,
            feature: format!("{key} ({key})"),
            is_access_control: false,
        })
    });
    in_sections.chain(at_the_top).collect()
}

impl Section {
    fn unheeded<'a>(&self, root: &'a Node) -> Vec<Unheeded<'a>> {
        let entries = root.get(self.name).map(Node::entries).unwrap_or_default();
        let told = entries.iter().filter_map(|entry| {
            let key = entry
                .key
                .as_str()
                .filter(|key| !self.untold.contains(key))?;
            let what = self.what(key);
            let is_access_control = what == ACCESS;
            // A list that admits nobody is a list all the same.
            let nobody = is_access_control && matches!(entry.value.value, Value::Seq(_));
            (nobody || is_on(&entry.value)).then(|| Unheeded {
                place: &entry.key.place,
                feature: format!("{what} ({}.{key})", self.name),
                is_access_control,
            })
        });
        told.collect()
    }

    fn what(&self, key: &str) -> &'static str {
        let named = self.known.iter().find(|(_, keys)| keys.contains(&key));
        named.map_or(self.other, |(what, _)| what)
    }
}
