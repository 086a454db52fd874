//! How the edge words an error: HTML, problem JSON, Markdown, or one plain line.

use serde_json::json;

use super::Form;
use super::code::Code;
use crate::sim::reply::Reply;

pub(super) struct Facts<'e> {
    pub(super) about: Code,
    pub(super) zone: &'e str,
    pub(super) ray: String,
    pub(super) retry_after: Option<u64>,
}

impl Facts<'_> {
    pub(super) fn page(&self, form: Form) -> Reply {
        let status = self.about.status;
        match form {
            Form::Json => Reply::text(status, "application/problem+json", self.problem()),
            Form::Markdown => Reply::text(status, "text/markdown; charset=utf-8", self.markdown()),
            Form::Plain => {
                let line = format!("error code: {}", self.about.number);
                Reply::text(status, "text/plain; charset=UTF-8", line)
            }
            Form::Html | Form::Negotiated => {
                Reply::text(status, "text/html; charset=UTF-8", self.html())
            }
        }
    }

    fn problem(&self) -> String {
        let Code { number, title, .. } = self.about;
        json!({
            "type": format!("https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/error-{number}/"),
            "title": format!("Error {number}: {title}"),
            "status": self.about.status,
            "detail": self.detail(),
            "instance": self.ray,
            "error_code": number,
            "error_name": self.about.name,
            "error_category": self.about.category,
            "ray_id": self.ray,
            "zone": self.zone,
            "cloudflare_error": true,
            "retryable": self.about.retryable(),
            "retry_after": self.retry_after,
            "owner_action_required": !self.about.retryable(),
            "what_you_should_do": self.advice(),
        })
        .to_string()
    }

    /// The same fields as the JSON, between two lines of dashes, and the prose below them.
    fn markdown(&self) -> String {
        let Code { number, title, .. } = self.about;
        let mut front = vec![
            format!("error_code: {number}"),
            format!("error_name: {}", self.about.name),
            format!("error_category: {}", self.about.category),
            format!("status: {}", self.about.status),
            format!("ray_id: {}", self.ray),
            format!("zone: {}", self.zone),
            "cloudflare_error: true".to_owned(),
            format!("retryable: {}", self.about.retryable()),
        ];
        front.extend(self.retry_after.map(|wait| format!("retry_after: {wait}")));
        format!(
            "---\n{}\n---\n\n# Error {number}: {title}\n\n## What happened\n\n{}\n\n## What you should do\n\n{}\n",
            front.join("\n"),
            self.detail(),
            self.advice(),
        )
    }

    fn html(&self) -> String {
        let Code { number, title, .. } = self.about;
        let (title, lead) = match number {
            1200 => (
                title.to_owned(),
                "<h2>This website has been temporarily rate limited</h2>".to_owned(),
            ),
            520..=530 => (
                format!("{} | {number}: {title}", self.zone),
                format!("<h2>{title}</h2>"),
            ),
            _ => (
                format!("{title} | {} | Cloudflare", self.zone),
                format!("<h2>{title}</h2>"),
            ),
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<title>{title}</title>\n\
             <meta charset=\"UTF-8\" />\n<meta name=\"robots\" content=\"noindex, nofollow\" />\n</head>\n\
             <body>\n<div id=\"cf-wrapper\">\n<div id=\"cf-error-details\">\n\
             <h1><span class=\"cf-error-type\">Error</span> <span class=\"cf-error-code\">{number}</span></h1>\n\
             {lead}\n<p>{detail}</p>\n\
             <p>Cloudflare Ray ID: <strong>{ray}</strong></p>\n</div>\n</div>\n</body>\n</html>\n",
            detail = self.detail(),
            ray = self.ray_number(),
        )
    }

    fn detail(&self) -> String {
        let tail = if self.about.category == "rate_limit" {
            " Try again later."
        } else {
            ""
        };
        format!("{} {}.{tail}", self.about.detail, self.zone)
    }

    fn advice(&self) -> String {
        match (self.retry_after, self.about.retryable()) {
            (Some(seconds), _) => format!("Wait {seconds} seconds, then try again, more slowly."),
            (None, true) => "Try again in a few minutes.".to_owned(),
            (None, false) => "Do not try again; ask the owner of the site.".to_owned(),
        }
    }

    /// The ray id without the place it names, as pages show it.
    fn ray_number(&self) -> &str {
        self.ray.split('-').next().unwrap_or_default()
    }
}

pub(super) fn challenge(facts: &Facts<'_>) -> Reply {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en-US\"><head><title>Just a moment...</title></head>\
         <body><noscript>Enable JavaScript and cookies to continue</noscript>\
         <p>{} checks your browser. Ray ID: {}</p></body></html>",
        facts.zone,
        facts.ray_number(),
    );
    Reply::text(403, "text/html; charset=UTF-8", page).with("cf-mitigated", "challenge")
}
