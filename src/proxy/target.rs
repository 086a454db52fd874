//! What does a request ask for? Decided from its head alone.

use http::Method;
use pingora_http::RequestHeader;

use super::head_check::inspect;
use crate::config::Limits;
use crate::gateway::Rejection;

/// What a path of the data port stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Messages,
    CountTokens,
    ChatCompletions,
    /// Inference that only LiteLLM serves; the model is in the body.
    LiteLlmOnly,
    Models,
    /// The id as it stands in the path.
    Model(String),
    Health,
    MemoryRouting,
    /// `HEAD /`: is anybody there?
    Probe,
    /// `OPTIONS *`: what does the server take, whatever the path?
    Server,
    /// LiteLLM's, untouched. The model that the path itself names, if any.
    LiteLlm {
        model: Option<String>,
    },
}

impl Target {
    /// Reads the request line and the headers that frame and address a request.
    pub(crate) fn of(head: &RequestHeader, limits: &Limits) -> Result<Self, Rejection> {
        inspect(head, limits)?;
        let target = Self::of_path(&head.method, head.uri.path());
        match (&target, target.method()) {
            (_, None) => Ok(target),
            (_, Some(allowed)) if allowed == head.method => Ok(target),
            (Self::Health | Self::Models | Self::Model(_) | Self::MemoryRouting, _)
                if head.method == Method::HEAD =>
            {
                Ok(target)
            }
            (_, Some(allowed)) => Err(Rejection::Method(if allowed == Method::POST {
                "POST"
            } else {
                "GET, HEAD"
            })),
        }
    }

    fn of_path(method: &Method, path: &str) -> Self {
        match path {
            "/v1/messages" => Self::Messages,
            "/v1/messages/count_tokens" => Self::CountTokens,
            "/v1/chat/completions" | "/chat/completions" => Self::ChatCompletions,
            "/openai/v1/chat/completions" if method == Method::POST => Self::ChatCompletions,
            "/v1/responses"
            | "/responses"
            | "/openai/v1/responses"
            | "/v1/embeddings"
            | "/embeddings"
            | "/openai/v1/embeddings"
                if method == Method::POST =>
            {
                Self::LiteLlmOnly
            }
            "/v1/models" | "/models" => Self::Models,
            "/health" => Self::Health,
            "/memory-routing/info" => Self::MemoryRouting,
            "/" if method == Method::HEAD => Self::Probe,
            "*" => Self::Server,
            _ => match path.strip_prefix("/v1/models/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Self::Model(id.to_owned()),
                _ => Self::LiteLlm {
                    model: model_in_path(path),
                },
            },
        }
    }

    /// Whether it is for models, and not for operators or nobody in particular: whatever is not known to be.
    pub(super) fn is_for_models(&self, path: &str) -> bool {
        match self {
            Self::Messages | Self::CountTokens | Self::ChatCompletions | Self::LiteLlmOnly => true,
            Self::Models | Self::Model(_) => true,
            Self::LiteLlm { .. } => !is_any_of(ADMINISTRATION, path),
            Self::Health | Self::MemoryRouting | Self::Probe | Self::Server => false,
        }
    }

    /// Whether its model stands in its body and nowhere else.
    pub(super) fn names_model_in_body(&self) -> bool {
        matches!(
            self,
            Self::Messages | Self::CountTokens | Self::ChatCompletions | Self::LiteLlmOnly
        )
    }

    /// The one method that the gateway's own paths take; `None` leaves it to LiteLLM.
    fn method(&self) -> Option<Method> {
        match self {
            Self::Messages | Self::CountTokens | Self::ChatCompletions => Some(Method::POST),
            Self::Models | Self::Model(_) | Self::Health | Self::MemoryRouting => Some(Method::GET),
            Self::LiteLlmOnly | Self::Probe | Self::Server | Self::LiteLlm { .. } => None,
        }
    }
}

/// Paths with which LiteLLM does inference or says what it has: what `litellm.expose: inference` opens.
/// A trailing slash stands for everything below.
const INFERENCE: &[&str] = &[
    "/v1/",
    "/v1beta/",
    "/v2/rerank",
    "/anthropic/",
    "/assistants",
    "/assistants/",
    "/audio/",
    "/azure/",
    "/batches",
    "/batches/",
    "/bedrock/",
    "/cohere/",
    "/completions",
    "/cursor/",
    "/embeddings",
    "/engines/",
    "/files",
    "/files/",
    "/fine_tuning/",
    "/gemini/",
    "/health/liveliness",
    "/health/liveness",
    "/health/readiness",
    "/images/",
    "/mistral/",
    "/model/info",
    "/moderations",
    "/ocr",
    "/openai/",
    "/rag/",
    "/realtime",
    "/rerank",
    "/responses",
    "/responses/",
    "/search",
    "/search/",
    "/threads",
    "/threads/",
    "/utils/token_counter",
    "/vector_stores",
    "/vector_stores/",
    "/vertex-ai/",
    "/vertex_ai/",
    "/videos",
    "/videos/",
    "/vllm/",
];

/// Paths with which LiteLLM is administered and watched, and asks no model: what a master key that is for administration
/// alone opens.
const ADMINISTRATION: &[&str] = &[
    "/",
    "/access_group",
    "/access_group/",
    "/active/callbacks",
    "/add/",
    "/alerting/",
    "/audit",
    "/audit/",
    "/budget/",
    "/cache/",
    "/callbacks/",
    "/config/",
    "/cost/",
    "/credentials",
    "/credentials/",
    "/customer/",
    "/delete/",
    "/docs",
    "/end_user/",
    "/favicon.ico",
    "/get/",
    "/get_image",
    "/global/",
    "/health/history",
    "/health/latest",
    "/health/license",
    "/health/liveliness",
    "/health/liveness",
    "/health/readiness",
    "/health/services",
    "/invitation/",
    "/jwt/",
    "/key/",
    "/litellm/",
    "/litellm-asset-prefix/",
    "/login",
    "/metrics",
    "/metrics/",
    "/model/",
    "/model_group/",
    "/onboarding/",
    "/openapi.json",
    "/organization/",
    "/project/",
    "/provider/budgets",
    "/public/",
    "/redoc",
    "/reload/",
    "/router/",
    "/routes",
    "/schedule/",
    "/scim/",
    "/settings",
    "/spend/",
    "/sso/",
    "/tag/",
    "/team/",
    "/ui",
    "/ui/",
    "/update/",
    "/user/",
    "/v1/model/info",
    "/v2/key/info",
    "/v2/login",
    "/v2/model/info",
    "/v2/team/list",
    "/v2/user/info",
];

const AZURE: &str = "/azure/openai/deployments/";
const DEPLOYMENTS: [&str; 4] = ["/openai/deployments/", "/engines/", "/v1/engines/", AZURE];
/// The longer first: LiteLLM looks for them so.
const ENDPOINTS: [&str; 6] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/images/generations",
    "/images/edits",
    "/responses",
];

/// Whether `litellm.expose: inference` lets a path through.
pub(crate) fn is_inference(path: &str) -> bool {
    is_any_of(INFERENCE, path)
}

fn is_any_of(known: &[&str], path: &str) -> bool {
    known.iter().any(|known| match *known {
        "/" => path == "/",
        below if below.ends_with('/') => path.starts_with(below),
        one => path == one,
    })
}

/// The model in the path of a deployment: all that stands in front of one of its endpoints, for a name may hold slashes.
fn model_in_path(path: &str) -> Option<String> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let (base, deployment) = DEPLOYMENTS
        .iter()
        .find_map(|base| Some((*base, path.strip_prefix(base)?)))?;
    let model = ENDPOINTS
        .iter()
        .find_map(|endpoint| deployment.strip_suffix(endpoint))?;
    // There LiteLLM takes any part of the path that is a model's name.
    let is_ambiguous = base == AZURE && model.contains('/');
    (!model.is_empty() && !is_ambiguous).then(|| model.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, path: &str) -> Result<Target, Rejection> {
        let mut head = RequestHeader::build(method, path.as_bytes(), None).unwrap();
        head.insert_header("host", "gateway.example:8764").unwrap();
        Target::of(&head, &Limits::default())
    }

    #[test]
    fn the_gateways_own_paths_are_matched_exactly_and_whatever_the_query() {
        assert_eq!(
            target("POST", "/v1/messages?beta=true").unwrap(),
            Target::Messages
        );
        assert_eq!(
            target("POST", "/v1/messages/count_tokens").unwrap(),
            Target::CountTokens
        );
        assert_eq!(
            target("POST", "/chat/completions").unwrap(),
            Target::ChatCompletions
        );
        assert_eq!(
            target("POST", "/openai/v1/chat/completions").unwrap(),
            Target::ChatCompletions
        );
        assert_eq!(
            target("GET", "/openai/v1/chat/completions").unwrap(),
            Target::LiteLlm { model: None },
            "a list of those that OpenAI keeps"
        );
        assert_eq!(target("HEAD", "/").unwrap(), Target::Probe);
        assert_eq!(target("POST", "/embeddings").unwrap(), Target::LiteLlmOnly);
        assert_eq!(
            target("GET", "/v1/responses").unwrap(),
            Target::LiteLlm { model: None },
            "its WebSocket is LiteLLM's"
        );
        assert_eq!(
            target("GET", "/v1/models/a%2Fb").unwrap(),
            Target::Model("a%2Fb".into())
        );
        assert_eq!(
            target("POST", "/v1%2Fmessages").unwrap(),
            Target::LiteLlm { model: None }
        );
        assert_eq!(
            target("POST", "/v1/messages/").unwrap(),
            Target::LiteLlm { model: None }
        );
    }

    #[test]
    fn a_model_in_the_path_is_all_in_front_of_its_endpoint() {
        for (path, model) in [
            ("/openai/deployments/sonnet/chat/completions", "sonnet"),
            ("/openai/deployments/a/b/chat/completions", "a/b"),
            ("/openai/deployments/a%2Fb/completions?x=y", "a/b"),
            ("/engines/chat/chat/completions", "chat"),
            ("/v1/engines/m/embeddings", "m"),
            ("/azure/openai/deployments/m/images/generations", "m"),
        ] {
            let expected = Target::LiteLlm {
                model: Some(model.into()),
            };
            assert_eq!(target("POST", path).unwrap(), expected, "{path}");
        }
        for path in [
            "/openai/deployments/m",
            "/openai/deployments/m/chat/completions/",
            "/openai/deployments//embeddings",
            "/azure/openai/deployments/m/n/embeddings",
            "/openai/files/m/embeddings",
        ] {
            let none = Target::LiteLlm { model: None };
            assert_eq!(Target::of_path(&Method::POST, path), none, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_administration_is_for_models() {
        let is_for_models = |path| Target::of_path(&Method::POST, path).is_for_models(path);
        for path in [
            "/v1/messages",
            "/v1/files",
            "/azure_ai/x",
            "/openrouter/v1/chat/completions",
            "/backend-api/codex/responses",
            "/health/test_connection",
            "/models/m:generateContent",
            "/mcp/",
            "/keys",
            "/whatever/comes",
        ] {
            assert!(is_for_models(path), "{path}");
        }
        for path in ["/key/info", "/ui/", "/", "/v2/model/info", "/spend/logs"] {
            assert!(!is_for_models(path), "{path}");
        }
    }

    #[test]
    fn the_wrong_method_is_told_the_right_one() {
        assert!(matches!(
            target("GET", "/v1/messages"),
            Err(Rejection::Method("POST"))
        ));
        assert!(matches!(
            target("DELETE", "/health"),
            Err(Rejection::Method("GET, HEAD"))
        ));
        assert!(matches!(
            target("TRACE", "/v1/embeddings"),
            Err(Rejection::Method(_))
        ));
    }

    #[test]
    fn only_inference_and_discovery_are_open_by_default() {
        for path in [
            "/v1/embeddings",
            "/anthropic/v1/messages",
            "/completions",
            "/health/liveliness",
            "/realtime",
        ] {
            assert!(is_inference(path), "{path}");
        }
        for path in [
            "/ui",
            "/key/generate",
            "/config/update",
            "/completionsx",
            "/health/test_connection",
            "//v1/x",
        ] {
            assert!(!is_inference(path), "{path}");
        }
    }
}
