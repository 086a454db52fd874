//! Which lines are to be pasted into which client? The key stays in the environment and is never shown.

const KEY: &str = "MEMGATE_KEY";

/// `model`: the one that was asked; `names`: all that the gateway lists.
pub(super) fn lines(base: &str, model: Option<&str>, names: &[String], key: bool) -> String {
    let model = model.unwrap_or("MODEL");
    let key_line = if key {
        format!("(the key that was used just now is meant by ${KEY})")
    } else {
        format!("(set {KEY} to a client's key; where the gateway needs none, to anything)")
    };
    [
        format!("\nWhat to paste {key_line}:"),
        claude_code(base, model, names),
        python(base, model),
        javascript(base, model),
        pycharm(base, model),
        curl(base, model),
    ]
    .join("\n")
}

fn claude_code(base: &str, model: &str, names: &[String]) -> String {
    // Its small tasks go to a Haiku by a name of its own, unless another is said.
    let small = names.iter().find(|name| name.contains("haiku"));
    let small = small.map_or(model, |name| name);
    format!(
        "\nClaude Code
  export ANTHROPIC_BASE_URL={base}
  export ANTHROPIC_AUTH_TOKEN=\"${KEY}\"
  export ANTHROPIC_MODEL={model}
  export ANTHROPIC_DEFAULT_HAIKU_MODEL={small}"
    )
}

fn python(base: &str, model: &str) -> String {
    format!(
        "\nPython, Anthropic's SDK and OpenAI's
  anthropic.Anthropic(base_url=\"{base}\", auth_token=os.environ[\"{KEY}\"])   # model=\"{model}\"
  openai.OpenAI(base_url=\"{base}/v1\", api_key=os.environ[\"{KEY}\"])"
    )
}

fn javascript(base: &str, model: &str) -> String {
    format!(
        "\nJavaScript, the same
  new Anthropic({{ baseURL: \"{base}\", authToken: process.env.{KEY} }})   // model: \"{model}\"
  new OpenAI({{ baseURL: \"{base}/v1\", apiKey: process.env.{KEY} }})"
    )
}

fn pycharm(base: &str, model: &str) -> String {
    format!(
        "\nPyCharm: Settings → Tools → AI Assistant → Models → Third-party AI providers → OpenAI-compatible
  URL      {base}/v1
  API key  the client's key
  Model    {model}"
    )
}

fn curl(base: &str, model: &str) -> String {
    format!(
        "\ncurl
  curl -sS {base}/v1/messages -H \"authorization: Bearer ${KEY}\" -H 'content-type: application/json' -d '{{\"model\":\"{model}\",\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_the_address_and_the_model_and_nobody_the_key() {
        let names = ["claude-x", "claude-haiku-y"].map(str::to_owned);

        let text = lines("http://gate:8764", Some("claude-x"), &names, true);

        for line in [
            "export ANTHROPIC_BASE_URL=http://gate:8764\n",
            "export ANTHROPIC_MODEL=claude-x\n",
            "export ANTHROPIC_DEFAULT_HAIKU_MODEL=claude-haiku-y\n",
            "openai.OpenAI(base_url=\"http://gate:8764/v1\"",
            "URL      http://gate:8764/v1\n",
            "Bearer $MEMGATE_KEY\"",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn without_a_haiku_small_tasks_go_to_the_model_that_there_is() {
        let text = lines("http://gate", Some("claude-x"), &[], false);

        assert!(text.contains("ANTHROPIC_DEFAULT_HAIKU_MODEL=claude-x\n"));
    }
}
