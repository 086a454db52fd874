//! How a running simulator is asked and told: `/__stats`, `/__script`, `/__reset`.

use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::head::Asked;
use super::reply::Reply;
use super::script::Rule;
use super::server::Server;

pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/__")
}

/// What `POST /__script` takes: answers for the next POSTs in order, and rules.
///
/// ```json
/// {"answers": [{"say": {"cloudflare": {"code": 1200, "zone": "api.anthropic.com", "form": "html"}}, "times": 2},
///              {"say": {"reply": {"status": 413, "body": "no"}}, "early": "reset_no_error"},
///              {"cut": {"at": {"after_events": 3}, "how": "abort"}, "pace": {"between_ms": 50}}],
///  "rules": [{"method": "GET", "path": "/key/info", "first": 3, "answer": {"say": {"reply": {"status": 500}}}}]}
/// ```
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Orders {
    answers: Vec<Answer>,
    rules: Vec<Rule>,
}

impl Orders {
    pub(super) fn give(self, server: &Server) {
        server.script.extend(self.answers);
        for rule in self.rules {
            server.script.add_rule(rule);
        }
    }
}

pub(super) fn reply(server: &Server, asked: &Asked) -> Reply {
    match (asked.head.method.as_str(), asked.head.path()) {
        ("GET", "/__stats") => {
            let mut stats = json!({
                "stats": server.recorder.stats(),
                "script_waiting": server.script.waiting(),
            });
            if asked.head.query("requests") != Some("0") {
                stats["requests"] = json!(server.recorder.requests());
            }
            Reply::json(200, &stats)
        }
        ("POST", "/__script") => match serde_json::from_slice::<Orders>(&asked.body) {
            Ok(orders) => {
                orders.give(server);
                Reply::json(200, &json!({"script_waiting": server.script.waiting()}))
            }
            Err(error) => Reply::json(400, &json!({"error": error.to_string()})),
        },
        ("POST", "/__reset") => {
            server.script.clear();
            server.recorder.reset();
            Reply::new(204)
        }
        _ => Reply::json(
            404,
            &json!({"error": "GET /__stats[?requests=0], POST /__script, POST /__reset"}),
        ),
    }
}
