//! What each of Cloudflare's error numbers is called and how it is sent.

/// An error number's standing facts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    pub(super) number: u16,
    pub(super) status: u16,
    /// `error_name` in the JSON form.
    pub(super) name: &'static str,
    /// `error_category` in the JSON form.
    pub(super) category: &'static str,
    pub(super) title: &'static str,
    /// What the zone's visitor is told; the zone's name follows it.
    pub(super) detail: &'static str,
    pub(super) retry_after: Option<u64>,
}

const fn code(
    (number, status): (u16, u16),
    name: &'static str,
    category: &'static str,
    title: &'static str,
    detail: &'static str,
    retry_after: Option<u64>,
) -> Code {
    Code {
        number,
        status,
        name,
        category,
        title,
        detail,
        retry_after,
    }
}

#[rustfmt::skip]
const KNOWN: &[Code] = &[
    code((1200, 503), "cache_connection_limit", "rate_limit", "Rate Limited", "Too many requests for", Some(60)),
    code((1015, 429), "rate_limited", "rate_limit", "You are being rate limited", "The owner limits requests to", Some(30)),
    code((1025, 429), "plan_limit_exceeded", "rate_limit", "Please check back later", "The plan's requests are used up for", None),
    code((1027, 429), "daily_limit_exceeded", "rate_limit", "Daily limit reached", "Today's requests are used up for", None),
    code((1000, 403), "dns_points_to_prohibited_ip", "dns", "DNS points to prohibited IP", "A loop was found at", None),
    code((1003, 403), "direct_ip_access", "config", "Direct IP access not allowed", "No site answers by this name at", None),
    code((1006, 403), "ip_banned", "access_denied", "Access denied", "Your address is banned from", None),
    code((1010, 403), "browser_signature_banned", "access_denied", "Access denied", "Your client's signature is banned from", None),
    code((1013, 409), "host_sni_mismatch", "config", "Host and SNI differ", "The names do not agree for", None),
    code((1020, 403), "firewall_blocked", "access_denied", "Access denied", "A security rule protects", None),
    code((1001, 530), "dns_resolution_error", "dns", "DNS resolution error", "No address is known for", None),
    code((1016, 530), "origin_dns_error", "dns", "Origin DNS error", "The origin has no address behind", None),
    code((1033, 530), "tunnel_error", "origin", "Tunnel error", "No tunnel is connected for", None),
    code((1101, 500), "worker_exception", "worker", "Worker threw exception", "An exception ended the Worker of", None),
    code((1102, 503), "worker_limit", "worker", "Worker exceeded resource limits", "The Worker ran out of resources at", None),
    code((520, 520), "unknown_origin_error", "origin", "Web server is returning an unknown error", "The origin answered strangely for", None),
    code((521, 521), "origin_down", "origin", "Web server is down", "The origin refuses connections for", None),
    code((522, 522), "origin_timeout", "origin", "Connection timed out", "The origin did not answer for", None),
    code((523, 523), "origin_unreachable", "origin", "Origin is unreachable", "There is no way to the origin of", None),
    code((524, 524), "origin_response_timeout", "origin", "A timeout occurred", "The origin took too long for", None),
    code((525, 525), "tls_handshake_failed", "tls", "SSL handshake failed", "TLS to the origin failed for", None),
    code((526, 526), "invalid_certificate", "tls", "Invalid SSL certificate", "The origin's certificate is not valid for", None),
    code((530, 530), "origin_error", "origin", "Origin DNS error", "The origin cannot be found for", None),
];

/// The facts of this number; an unknown one is an error of the edge with that status, or 500.
pub(super) fn of(number: u16) -> Code {
    let known = KNOWN.iter().find(|code| code.number == number).copied();
    known.unwrap_or_else(|| {
        let status = if (400..600).contains(&number) {
            number
        } else {
            500
        };
        code(
            (number, status),
            "unknown",
            "unknown",
            "Error",
            "Something went wrong at",
            None,
        )
    })
}

impl Code {
    pub(super) fn retryable(self) -> bool {
        matches!(self.category, "rate_limit" | "origin" | "worker")
    }
}
