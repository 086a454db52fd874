//! How is each kind of trouble said in plain words?

/// What is said of one kind. `{zone}`, `{provider}` and `{host}` stand for names.
pub(super) struct Words {
    /// What the place does; the sentence begins with its name.
    pub does: &'static str,
    /// What a person should do.
    pub act: &'static str,
    /// Told also where it is rare among good answers: it does not go away by itself.
    pub stubborn: bool,
    /// Of those at one place the highest is told.
    pub rank: u8,
}

const fn passing(rank: u8, does: &'static str, act: &'static str) -> Words {
    Words {
        does,
        act,
        stubborn: false,
        rank,
    }
}

const fn stubborn(rank: u8, does: &'static str, act: &'static str) -> Words {
    Words {
        does,
        act,
        stubborn: true,
        rank,
    }
}

/// `None`: nothing that an operator need know.
pub(super) fn words(what: &str) -> Option<&'static Words> {
    let meant = match what {
        "connect" | "connect_timeout" => "connect_failed",
        "provider_spend_limit" => "provider_billing",
        "provider_timeout" | "unproved_error" => "provider_api",
        "answer_lost" | "truncated" | "error_event" | "broken" => "connection_lost",
        "unreadable_answer" => "invalid_answer",
        "queue_full" => "lane_full",
        what => what,
    };
    let mut known = WORDS.iter();
    let found = known.find(|(word, _)| *word == meant);
    found.map(|(_, words)| words)
}

/// By the words of `upstream_attempts_total{outcome}` and their like.
static WORDS: &[(&str, Words)] = &[
    (
        "edge_queue_full",
        passing(
            9,
            "answers error 1200: too many requests are waiting at the edge of {zone}",
            "Nothing to do: it passes when the edge has room again",
        ),
    ),
    (
        "edge_rate_limited",
        passing(
            8,
            "answers error 1015: the owner of {zone} limits how often it may be asked",
            "Nothing to do now; if it comes back every day, ask the owner of {zone} for a higher limit",
        ),
    ),
    (
        "edge_plan_used_up",
        stubborn(
            8,
            "answers that the plan of {zone} is used up for today, until midnight UTC",
            "Ask the owner of {zone} for a larger plan",
        ),
    ),
    (
        "edge_blocked",
        stubborn(
            8,
            "turns this gateway away by a rule of the owner of {zone}",
            "Ask that owner, with the ray id, to let this machine's address in; trying again does not help",
        ),
    ),
    (
        "edge_challenge",
        stubborn(
            8,
            "wants to see a browser (a challenge of {zone})",
            "Ask the owner of {zone}, with the ray id, to exempt the API from challenges; no gateway can pass one",
        ),
    ),
    (
        "edge_misaddressed",
        stubborn(
            8,
            "refuses how it is addressed",
            "Check `api_base` of the models that go there; if it is right, report a fault of memgate",
        ),
    ),
    (
        "edge_unreachable",
        passing(
            7,
            "cannot find the server behind its edge",
            "Nothing to do here; tell the owner of {zone} if it lasts",
        ),
    ),
    (
        "edge_worker_failed",
        passing(
            7,
            "fails in the program of {zone} at its edge",
            "Nothing to do here; tell the owner of {zone}, with the ray id, if it lasts",
        ),
    ),
    (
        "edge_origin_down",
        passing(
            7,
            "says that the server of {zone} is down",
            "Nothing to do here; tell the owner of {zone} if it lasts",
        ),
    ),
    (
        "edge_origin_failed",
        passing(
            6,
            "says that the server of {zone} fails or is too slow",
            "Nothing to do here; tell the owner of {zone} if it lasts",
        ),
    ),
    (
        "edge_origin_tls",
        passing(
            7,
            "has no secure connection to the server of {zone}",
            "Tell the owner of {zone} that the certificate of its own server is not accepted",
        ),
    ),
    (
        "edge_other",
        passing(
            5,
            "answers with an error page of its edge",
            "Look the ray id up with the owner of {zone} if it lasts",
        ),
    ),
    (
        "provider_authentication",
        stubborn(
            8,
            "answers 401: the key of a model is not taken",
            "Renew `api_key` of the models that go to {provider}, and the router's key in their `extra_headers`",
        ),
    ),
    (
        "provider_permission",
        stubborn(
            7,
            "answers 403: the key of a model may not do what is asked",
            "Look at the rights of that key in the console of {provider}",
        ),
    ),
    (
        "provider_billing",
        stubborn(
            8,
            "refuses because the account has no credit left or reached its spending limit",
            "Raise the limit or add credit in the console of {provider}",
        ),
    ),
    (
        "provider_not_found",
        stubborn(
            4,
            "answers 404: {provider} does not know a model that it is asked for",
            "Compare the names in `model_list` with the models of {provider}",
        ),
    ),
    (
        "provider_rate_limit",
        passing(
            5,
            "answers 429: the account's own rate limit at {provider} is reached",
            "Nothing to do now; ask {provider} for a higher limit if it comes back",
        ),
    ),
    (
        "provider_overloaded",
        passing(
            5,
            "answers that it is overloaded",
            "Nothing to do: it passes when {provider} has room again",
        ),
    ),
    (
        "provider_api",
        passing(
            5,
            "answers with errors of its own",
            "Nothing to do here; see the status page of {provider} if it lasts",
        ),
    ),
    (
        "memory_error",
        passing(
            3,
            "answers, and says that it could not use its memory",
            "Nothing to do here; tell the owner of {host} if it lasts",
        ),
    ),
    (
        "unresolved",
        passing(
            9,
            "has no address: the name {host} is not found in the DNS",
            "Check the DNS servers of this machine, and the name",
        ),
    ),
    (
        "connect_failed",
        passing(
            9,
            "takes no connection",
            "Check the network and firewall between this machine and {host}",
        ),
    ),
    (
        "tls",
        stubborn(
            9,
            "shows a certificate that cannot be trusted",
            "Check the clock of this machine and what stands between it and {host}; if its authority is your own, name it in `direct.ca_file`",
        ),
    ),
    (
        "unprocessed",
        passing(
            4,
            "sends requests back without looking at them",
            "Nothing to do: that is safe to repeat, and is repeated",
        ),
    ),
    (
        "connection_lost",
        passing(
            5,
            "breaks off in the middle of answers",
            "Nothing to do here; tell the owner of {host} if it lasts",
        ),
    ),
    (
        "first_byte_timeout",
        passing(
            6,
            "does not answer in time",
            "Nothing to do here; tell the owner of {host} if it lasts",
        ),
    ),
    (
        "invalid_answer",
        passing(
            5,
            "answers what cannot be read",
            "Look at what stands between this machine and {host}",
        ),
    ),
    (
        "lane_full",
        passing(
            3,
            "has less room than is asked for",
            "Nothing to do if it is short; else ask the owner of {host} for more room, or spread the work over the day",
        ),
    ),
    (
        "litellm_down",
        stubborn(
            9,
            "takes no connection, or does not answer its health checks",
            "Look at the LiteLLM service and its log",
        ),
    ),
];
